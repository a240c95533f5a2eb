//! The credential scope of a request.
