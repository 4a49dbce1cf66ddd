//! The words spoken with the shell: what is wanted, what happened, what to do, what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::node::NodeId;
use crate::succession::Testament;
use crate::timing::Timing;
use crate::wire::Key;

/// What a node is born with. Everything that changes later comes by [`Wanted`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Larger than at any earlier start of this node: `max(persisted + 1, unix milliseconds)`. A smaller one is refused by the others.
    pub incarnation: u64,
    /// How fast death is noticed.
    pub timing: Timing,
    /// What the cluster's speakers share.
    pub key: Key,
    /// Randomness: new at every start, from the operating system. Sessions and nonces are derived from it.
    pub seed: u64,
    /// What must show that the segment is alive before a node that hears no other speaker acts alone.
    pub witness: Witness,
}

/// What a node that hears no other speaker needs to see before it takes an address.
///
/// A node behind a dead switch port hears nobody, exactly like the last node alive. Something else on the segment tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Witness {
    /// Something that is no speaker was heard on the segment (the gateway's ARP answer, any frame): [`Event::Neighbour`].
    #[default]
    Neighbour,
    /// A link with carrier is enough. Two such nodes on two halves of a broken switch both take the address; for segments where nothing
    /// but speakers can be heard.
    Link,
}

/// All that is wanted, as one value; setting the same value again does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Every other node of the cluster, and where its heartbeats go. Some may run no speaker or be away for days.
    pub members: BTreeMap<NodeId, SocketAddr>,
    /// Every address of the segment that somebody is to own.
    pub addresses: BTreeMap<IpAddr, Address>,
}

/// An address that some node is to own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The nodes that may own it.
    pub candidates: BTreeSet<NodeId>,
    /// How much each is preferred where an owner has to be found; missing is zero. Never a reason to move what is owned.
    pub preference: BTreeMap<NodeId, u32>,
    /// What the order of candidates is computed from: the first address of the Service, so that both families go to one node.
    pub order_by: IpAddr,
}

/// What the world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The instant of [`deadline`](crate::Election::deadline) has come.
    Tick,
    /// A datagram came in on the heartbeat socket.
    Datagram {
        /// Who sent it, as the socket says.
        from: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// The announcing interface gained or lost its carrier.
    Link(Link),
    /// Something on the segment that is no speaker was heard: an ARP answer of the gateway, a client's frame. May be delivered as often
    /// or as rarely as is cheap, and in answer to [`Action::AskNeighbours`]; only signs that go on for `T_dead`, without a gap of three, are a
    /// witness.
    Neighbour,
    /// A host's kernel answered a heartbeat that nobody listens there (ICMP port unreachable). To be delivered after all datagrams that have come; anybody can
    /// forge it, so it is a hint.
    Refused {
        /// Where the heartbeat had been sent.
        by: SocketAddr,
    },
    /// What [`Action::Prepare`] asked for is in force for these addresses.
    Prepared(&'a [IpAddr]),
    /// This process takes the place of an earlier one on this node. To be delivered before anything is set; later it is ignored.
    Inherit(&'a Testament),
    /// Whether what is sent to this node is served.
    Fitness(Fitness),
    /// This speaker is about to stop: hand everything over, then say [`Action::Left`].
    Leave,
}

/// Whether this node serves what it owns. A new machine takes itself for fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fitness {
    /// It does.
    #[default]
    Fit,
    /// It does not, or badly: its addresses are better off elsewhere, and here better than nowhere. What it owns it offers to the others and
    /// keeps until one of them takes it; it takes nothing that is offered; and of what nobody owns it takes only what nobody else took in
    /// the time of a hand-over.
    Unfit,
}

/// Whether the announcing interface has a carrier. A new machine takes it for up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Frames can pass.
    Up,
    /// Frames cannot pass.
    Down,
}

/// What the shell must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this datagram from the heartbeat socket.
    Send {
        /// The member's heartbeat address.
        to: SocketAddr,
        /// At most 1,200 bytes, sealed.
        datagram: Vec<u8>,
    },
    /// This address is likely to come to this node soon: make everything ready that should be in force when its first packet comes, then say
    /// [`Event::Prepared`]. [`Action::Gain`] follows or [`Action::Withdraw`]; an answer that does not come delays an offered address by half of
    /// `T_dead`, and no other.
    Prepare {
        /// The address.
        ip: IpAddr,
        /// Who owns it until then.
        from: NodeId,
        /// Why it may come.
        why: Foresight,
    },
    /// The address that was prepared for does not come.
    Withdraw {
        /// The address.
        ip: IpAddr,
    },
    /// This node now owns the address: answer for it, and announce it.
    Gain {
        /// The address.
        ip: IpAddr,
        /// The number of the claim; grows with every change of owner.
        epoch: u64,
        /// Why.
        reason: GainReason,
        /// Who had it before, where somebody had.
        from: Option<NodeId>,
        /// After a silent death: how long the old owner had not been heard when this node took over.
        silent_for: Option<Duration>,
    },
    /// This node owns the address since an earlier process of it, see [`Event::Inherit`]: answer for it and announce it, but after [`Action::Suspend`], which follows,
    /// not before [`Action::Resume`].
    Keep {
        /// The address.
        ip: IpAddr,
        /// The number of the claim.
        epoch: u64,
    },
    /// This node no longer owns the address: be silent about it from this instant.
    Lose {
        /// The address.
        ip: IpAddr,
        /// Why.
        reason: LoseReason,
        /// Who has it now, where known.
        to: Option<NodeId>,
    },
    /// This node still owns the address, and a rival that had claimed it too has just given up: announce it once more, neighbours may have
    /// learned the rival.
    Reassert {
        /// The address.
        ip: IpAddr,
        /// The number of the claim that stands.
        epoch: u64,
        /// Who gave up.
        rival: NodeId,
    },
    /// This process was late and may have been replaced meanwhile: answer for no address, owned or not, until [`Action::Resume`]. Single
    /// addresses may be lost before that, none is gained.
    Suspend,
    /// What is still owned is owned in truth: answer for it again, and announce it.
    Resume,
    /// Look for a sign of life that is no speaker (ask the gateway by ARP) and deliver [`Event::Neighbour`] when one comes. Repeated
    /// every half `T_dead` while it matters. A shell that does not ask leaves a node that hears no other speaker to chance.
    AskNeighbours,
    /// Tell the operator.
    Report(Observed),
    /// After [`Event::Leave`]: nothing is owned any more. The machine is at rest and will send nothing again.
    Left,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word for logs and metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Why an address may soon be gained.
    Foresight {
        /// Its owner asks this node to take it, and answers until then.
        Offer => "offer",
        /// Its owner is silent, and this node would be the next.
        Suspicion => "suspicion",
    }
}

words! {
    /// Why an address was gained.
    GainReason {
        /// Nobody on the segment had it.
        FirstOwner => "first-owner",
        /// Its owner fell silent, and enough observers agree.
        TookOver => "took-over",
        /// Its owner asked this node to take it.
        HandedOver => "handed-over",
        /// Its owner gave it up, or left, without naming an heir.
        Resigned => "resigned",
    }
}

words! {
    /// Why an address was lost.
    LoseReason {
        /// The heir that was asked to take it has claimed it.
        HandedOver => "handed-over",
        /// Another node holds a better claim: this node had been thought dead, or lived on the losing side of a partition.
        BetterClaim => "better-claim",
        /// Nobody wants it on this segment any more.
        Unwanted => "unwanted",
        /// This node may no longer own it, and no live candidate took it.
        NotCandidate => "not-candidate",
        /// The announcing interface has no carrier.
        LinkDown => "link-down",
        /// This node hears the others, but none of them hears it.
        Unheard => "unheard",
        /// This node leaves, and no live candidate took it.
        Leaving => "leaving",
    }
}

/// What an operator may want to know. None of it asks for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The machine went from one phase to another.
    Phase(Phase),
    /// A member is heard.
    MemberUp {
        /// Who.
        node: NodeId,
        /// Which start of it.
        incarnation: u64,
    },
    /// A member's process was replaced by another one, which goes on with what it owned.
    MemberResumed {
        /// Who.
        node: NodeId,
        /// Which start of it.
        incarnation: u64,
    },
    /// A member is silent for three quarters of `T_dead`; the others have been told and asked.
    MemberSuspected {
        /// Who.
        node: NodeId,
        /// For how long.
        silent_for: Duration,
    },
    /// A suspected member is heard again.
    MemberCleared {
        /// Who.
        node: NodeId,
        /// How long it was not.
        silent_for: Duration,
    },
    /// A member is dead, or gone.
    MemberDown {
        /// Who.
        node: NodeId,
        /// How long the last one that heard it has not heard it.
        silent_for: Duration,
        /// How it is known.
        evidence: Evidence,
    },
    /// A member is not heard here, but somebody else hears it: the path between the two is broken, the member is not. Once per silence.
    Vetoed {
        /// Who is not heard here.
        node: NodeId,
        /// Who hears it.
        by: NodeId,
        /// How long it is not heard here.
        silent_for: Duration,
    },
    /// A datagram was refused.
    Rejected(Drop),
    /// No other speaker is heard, and nothing shows that the segment is alive: nothing is claimed.
    Isolated,
    /// Others are heard, and none hears this node: nothing is claimed.
    Unheard,
    /// This process ran late.
    Stalled {
        /// By how much.
        late: Duration,
    },
    /// Another node claims what this node owns, with a lesser claim; it is being told.
    Rival {
        /// The address.
        ip: IpAddr,
        /// Who.
        node: NodeId,
    },
    /// This node asks another one to take an address.
    HandingOver {
        /// The address.
        ip: IpAddr,
        /// The heir.
        to: NodeId,
    },
    /// This node takes an address without the shell having said that it is ready.
    Unprepared {
        /// The address.
        ip: IpAddr,
        /// Who offered it.
        from: NodeId,
    },
    /// A member claims more addresses than are kept; the rest is ignored.
    TooManyClaims {
        /// Who.
        node: NodeId,
    },
}

/// How a member's death is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// This node and these others measured its silence themselves.
    Observers(BTreeMap<NodeId, Duration>),
    /// Its kernel says that nobody listens there, to this node and to these others.
    Refused(BTreeSet<NodeId>),
    /// No other speaker is heard at all, and something else on the segment is.
    Alone,
    /// It said that it leaves.
    Left,
    /// It has started again: its earlier life is over.
    Restarted,
}

words! {
    /// What the machine is doing.
    Phase {
        /// Just started, or just connected again: listens, claims nothing.
        Learning => "learning",
        /// Takes part.
        Active => "active",
        /// May have been replaced while it stood still: owns on paper, answers nothing.
        Suspended => "suspended",
        /// Has no carrier.
        Unlinked => "unlinked",
        /// Hands over and goes.
        Leaving => "leaving",
        /// Gone.
        Left => "left",
    }
}

words! {
    /// Why a datagram was refused. Also the label of a counter.
    Drop {
        /// Shorter than a header and a tag.
        TooShort => "too-short",
        /// Longer than any message.
        TooLong => "too-long",
        /// Not ours at all.
        NotHerald => "not-herald",
        /// Another version of the protocol.
        OtherVersion => "other-version",
        /// A message type that this version does not know.
        UnknownType => "unknown-type",
        /// Sealed with a key of another cluster, or an old one.
        OtherKey => "other-key",
        /// The sender's id is this node's own.
        OwnName => "own-name",
        /// The sender's id is no member's.
        NotAMember => "not-a-member",
        /// The sender's id is a member's, the source address is not.
        WrongSource => "wrong-source",
        /// An earlier start of the member, or one that has said goodbye.
        OldIncarnation => "old-incarnation",
        /// The seal is broken: wrong key, bit errors, or forged.
        Forged => "forged",
        /// Seen before.
        Replayed => "replayed",
        /// More than 64 messages behind the newest.
        TooOld => "too-old",
        /// Meant for an earlier start of this node: a recording, or a member that does not know this start yet.
        OtherSession => "other-session",
        /// Sealed rightly, but its inside makes no sense.
        Malformed => "malformed",
    }
}
