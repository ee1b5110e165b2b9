//! Compressing records again, as a stream: for batches that the broker itself writes anew.
//!
//! What is written here, every client reads: snappy comes in snappy-java's framing and LZ4 in frames of independent
//! blocks of 64 KiB, which are what Kafka's own cleaner writes whatever the producer chose. Levels are the codecs'
//! defaults.

use super::codec::{Compression, XERIAL_MAGIC};
use std::io::{self, Write};

/// What goes uncompressed into one block of snappy, in bytes; snappy-java's default.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// The version that writes and the oldest that reads, big-endian.
const XERIAL_VERSIONS: &[u8; 8] = b"\0\0\0\x01\0\0\0\x01";

/// A writer that compresses into memory.
pub struct Packer(Codec);

enum Codec {
    None(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Snappy(Xerial),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packer {
    /// Goes on after what `out` holds.
    ///
    /// # Errors
    /// When the codec gets no memory.
    pub fn new(compression: Compression, mut out: Vec<u8>) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::None => Codec::None(out),
            Compression::Gzip => {
                Codec::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default()))
            }
            Compression::Snappy => {
                out.extend_from_slice(XERIAL_MAGIC);
                out.extend_from_slice(XERIAL_VERSIONS);
                Codec::Snappy(Xerial { out, block: Vec::with_capacity(XERIAL_BLOCK_BYTES) })
            }
            Compression::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                Codec::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(info, out)))
            }
            Compression::Zstd => {
                Codec::Zstd(zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?)
            }
        }))
    }

    /// All of it, after what was there before.
    ///
    /// # Errors
    /// When the codec fails, which it has no reason to.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Codec::None(out) => Ok(out),
            Codec::Gzip(encoder) => encoder.finish(),
            Codec::Snappy(xerial) => xerial.finish(),
            Codec::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Codec::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Packer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Codec::None(out) => out.write(data),
            Codec::Gzip(encoder) => encoder.write(data),
            Codec::Snappy(xerial) => xerial.write(data),
            Codec::Lz4(encoder) => encoder.write(data),
            Codec::Zstd(encoder) => encoder.write(data),
        }
    }

    /// Nothing: blocks end when they are full, and the last one in [`Packer::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Xerial {
    out: Vec<u8>,
    block: Vec<u8>,
}

impl Xerial {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(XERIAL_BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&data[..taken]);
        if self.block.len() == XERIAL_BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(taken)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let packed = snap::raw::Encoder::new().compress_vec(&self.block).map_err(io::Error::other)?;
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(&packed);
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn codecs() -> impl Strategy<Value = Compression> {
        (0_i16..=4).prop_map(|id| Compression::from_id(id).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_packed_unpacks(
            compression in codecs(), pieces in prop::collection::vec((any::<u8>(), 0_usize..40_000), 0..8),
        ) {
            let mut packer = Packer::new(compression, b"before".to_vec()).unwrap();
            let mut plain = Vec::new();
            for (byte, size) in pieces {
                let piece: Vec<u8> = (0..size).map(|at| byte.wrapping_mul(at as u8)).collect();
                packer.write_all(&piece).unwrap();
                plain.extend_from_slice(&piece);
            }
            let packed = packer.finish().unwrap();
            let mut unpacked = Vec::new();
            let stream = packed.strip_prefix(b"before").unwrap();
            compression.open(stream, plain.len()).unwrap().read_to_end(&mut unpacked).unwrap();
            prop_assert_eq!(unpacked, plain);
        }
    }
}
