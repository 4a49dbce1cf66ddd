# Removes a lab: sh cleanup.sh {now|orphaned} HOME
#
#   now        the caller holds the lab's lock and asks for the removal
#   orphaned   wait until the owner is gone (its lock falls with it), then remove, unless the lab is kept or already removed
#
# Kills what runs in the lab's network namespaces, unmounts what is mounted below HOME, deletes the namespaces and HOME.
# Namespaces belong to the lab by their names: ID-*, where ID is the last part of HOME.

when=$1
home=$2
id=${home##*/}

if [ "$when" = orphaned ]; then
    exec 9<"$home/lock" || exit 0
    flock 9 || exit 1
    [ -d "$home" ] || exit 0
    [ -e "$home/kept" ] && exit 0
fi

# Prints the processes whose network namespace is one of the lab's. A dead process that nobody has waited for is not among
# them, nor is the caller, whose threads may still be inside.
inside() {
    set -- /run/netns/"$id"-*
    [ -e "$1" ] || return 0
    {
        stat -Lc 'ours %d:%i' "$@"
        stat -Lc 'process %d:%i %n' /proc/[0-9]*/ns/net
    } 2>/dev/null | awk -v caller="$PPID" '
        $1 == "ours" { ours[$2] = 1 }
        $1 == "process" && $2 in ours { split($3, part, "/"); if (part[3] != caller) print part[3] }'
}

tries=0
while [ $tries -lt 100 ]; do
    pids=$(inside)
    [ -n "$pids" ] || break
    # Word splitting is meant: one argument a process.
    kill -9 $pids 2>/dev/null
    tries=$((tries + 1))
    sleep 0.01
done

awk -v below="$home/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount"
done

for namespace in /run/netns/"$id"-*; do
    [ -e "$namespace" ] && echo "netns del ${namespace##*/}"
done | ip -force -batch -

rm -rf "$home"
