//! Filters, orders and projections over documents, as values and as text.
