//! `make clean-labs`: removes labs that were left up by `KEEP=1`.
#![allow(clippy::print_stdout, reason = "says what it removes")]

fn main() -> anyhow::Result<()> {
    for id in herald_tests::cleanup::kept()? {
        herald_tests::cleanup::remove_kept(&id)?;
        println!("removed {id}");
    }
    Ok(())
}
