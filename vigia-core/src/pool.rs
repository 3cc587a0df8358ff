//! Reuse of frame-sized memory: fresh pages cost more than the work that is done in them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::PixelBuffer;

/// Keeps buffers that were given back, for the next taker. Cloning shares the pool.
#[derive(Clone, Debug, Default)]
pub struct BufferPool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Buffers kept at most, and bytes of all of them; more in use at once are allowed and simply freed afterwards.
const KEPT: usize = 32;
const KEPT_BYTES: usize = 128 << 20;

impl BufferPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer of `len` bytes with unspecified content; it goes back to the pool when dropped.
    pub fn take(&self, len: usize) -> PooledBuffer {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough; otherwise the last one grows.
        let best = (0..free.len()).filter(|&i| free[i].capacity() >= len).min_by_key(|&i| free[i].capacity());
        let mut bytes = best.map(|i| free.swap_remove(i)).or_else(|| free.pop()).unwrap_or_default();
        drop(free);
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        PooledBuffer { bytes, len, pool: self.clone() }
    }
}

/// A buffer on loan from a [`BufferPool`].
#[derive(Debug)]
pub struct PooledBuffer {
    bytes: Vec<u8>,
    len: usize,
    pool: BufferPool,
}

impl PooledBuffer {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(Vec::capacity).sum();
        if free.len() < KEPT && kept + self.bytes.capacity() <= KEPT_BYTES {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Planes one behind the other in one pooled buffer.
#[derive(Debug)]
pub struct PooledPlanes {
    buffer: PooledBuffer,
    ends: [usize; 3],
}

impl PooledPlanes {
    /// Planes over `buffer`; plane `i` ends before byte `ends[i]` and starts where the one before ends.
    ///
    /// # Panics
    /// When `ends` does not rise or passes the buffer's end: a mistake of the caller, not of any input.
    pub fn new(buffer: PooledBuffer, ends: [usize; 3]) -> Self {
        assert!(ends[0] <= ends[1] && ends[1] <= ends[2] && ends[2] <= buffer.len, "plane ends {ends:?}");
        Self { buffer, ends }
    }
}

impl PixelBuffer for PooledPlanes {
    fn plane(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.buffer.bytes()[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back() {
        let pool = BufferPool::new();
        let first = pool.take(1000);
        let address = first.bytes().as_ptr();
        drop(first);
        let again = pool.take(900);
        assert_eq!(again.bytes().as_ptr(), address);
        assert_eq!(again.bytes().len(), 900);
    }

    #[test]
    fn the_smallest_that_fits_is_taken() {
        let pool = BufferPool::new();
        let (small, large) = (pool.take(100), pool.take(10_000));
        let address = small.bytes().as_ptr();
        drop(large);
        drop(small);
        assert_eq!(pool.take(50).bytes().as_ptr(), address);
    }

    #[test]
    fn planes_lie_one_behind_the_other() {
        let pool = BufferPool::new();
        let mut buffer = pool.take(6);
        buffer.bytes_mut().copy_from_slice(&[1, 2, 3, 4, 5, 6]);
        let planes = PooledPlanes::new(buffer, [3, 4, 6]);
        assert_eq!((planes.plane(0), planes.plane(1), planes.plane(2)), (&[1, 2, 3][..], &[4][..], &[5, 6][..]));
    }
}
