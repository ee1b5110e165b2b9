//! Pure checks of one object, fault by fault.
