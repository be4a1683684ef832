//! Tests of the whole system against real servers and with several processes.
