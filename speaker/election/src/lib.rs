//! Who is alive, who owns each address, how it is handed over.
