//! `reconciled demo`: a shop's day against the sandbox, with a real daemon that is killed on the way.

mod class;
mod scene;
