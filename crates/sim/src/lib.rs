//! Runs the real library on virtual time against a hostile store, and checks what clients saw.
