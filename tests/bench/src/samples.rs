// SPDX-License-Identifier: GPL-2.0

//! What an operation was measured to cost, several times.

use crate::{
    clock::{now, Idler},
    Result,
};
use std::ops::Range;

/// The measurements of one operation on one bed.
pub struct Samples {
    quick: bool,
    /// Instructions that measuring takes, without and with the idler.
    overhead: u64,
    idle_overhead: u64,
    idler: Option<Idler>,
    all: Vec<u64>,
}

impl Samples {
    /// None yet. A quick run takes fewer.
    pub fn new(quick: bool) -> Result<Self> {
        let mut this = Self {
            quick,
            overhead: 0,
            idle_overhead: 0,
            idler: None,
            all: Vec::new(),
        };
        for _ in 0..9 {
            this.time(|| Ok(()))?;
        }
        this.overhead = this.median();
        this.all.clear();
        Ok(this)
    }

    /// The numbers of the rounds to take.
    pub fn rounds(&self, full: usize) -> Range<usize> {
        0..match self.quick {
            true => full.min((full / 4).max(5)),
            false => full,
        }
    }

    /// Measures something that does not wait for anything outside of the CPU.
    pub fn time<T>(&mut self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = now();
        let done = body();
        let end = now();
        self.add((end - start).saturating_sub(self.overhead));
        done
    }

    /// Measures something that may wait, for a device or for a grace period: what all of the
    /// machine works meanwhile, without the time that it idles.
    pub fn time_busy<T>(&mut self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let idler = match self.idler.take() {
            Some(idler) => idler,
            None => self.calibrated()?,
        };
        let (done, spent) = beside(&idler, body);
        self.idler = Some(idler);
        self.add(spent.saturating_sub(self.idle_overhead));
        done
    }

    fn calibrated(&mut self) -> Result<Idler> {
        let idler = Idler::new()?;
        let mut spent: Vec<u64> = (0..9).map(|_| beside(&idler, || ()).1).collect();
        spent.sort_unstable();
        self.idle_overhead = spent[spent.len() / 2];
        Ok(idler)
    }

    /// Adds what was found out in another way.
    pub fn add(&mut self, value: u64) {
        self.all.push(value);
    }

    /// Forgets those so far.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// The one in the middle.
    pub fn median(&self) -> u64 {
        let mut all = self.all.clone();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    }
}

/// Does something, and says what the machine worked meanwhile.
fn beside<T>(idler: &Idler, body: impl FnOnce() -> T) -> (T, u64) {
    idler.run();
    let (idle, start) = (idler.idled(), now());
    let done = body();
    let (end, idle) = (now(), idler.idled() - idle);
    idler.rest();
    (done, (end - start).saturating_sub(idle))
}
