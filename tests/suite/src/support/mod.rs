// SPDX-License-Identifier: GPL-2.0

//! What tests say often.

pub mod acl;
pub mod aio;
pub mod attribute;
pub mod board;
pub mod content;
pub mod dir;
pub mod early;
pub mod exec;
pub mod fiemap;
pub mod file_attr;
pub mod fuse;
pub mod handle;
pub mod idmap;
pub mod image;
pub mod index;
pub mod listing;
pub mod mapping;
pub mod maps;
pub mod metacopy;
pub mod must;
pub mod newmount;
pub mod parameter;
pub mod process;
pub mod readers;
pub mod snapshot;
pub mod upper;
pub mod verity;
