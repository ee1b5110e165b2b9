//! Opening what producers compressed, as a stream, with a bound on what comes out.
//!
//! A reader gives an error at the bound, so a batch of a kilobyte that unpacks to gigabytes costs no more
//! than the bound. Only raw snappy has no streaming form: its stated length is checked before memory is taken.

use std::io::{self, Cursor, Read};

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Raw, or in the block framing of snappy-java ("xerial"), which the Java clients write.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878. Clients may send it from Produce version 7 on (KIP-110).
    Zstd,
}

impl Compression {
    /// The codec of a number in a batch's attributes.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// Its number in a batch's attributes.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// What `packed` unpacks to, up to `limit_bytes`; reading beyond them is an error, and so is anything
    /// that the codec doesn't accept.
    ///
    /// # Errors
    /// When the stream can't even be begun.
    pub fn open<'a>(self, packed: &'a [u8], limit_bytes: usize) -> io::Result<Box<dyn Read + 'a>> {
        let inner: Box<dyn Read + 'a> = match self {
            Self::None => return Ok(Box::new(packed)),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Snappy => match packed.strip_prefix(XERIAL_MAGIC) {
                Some(framed) => Box::new(Xerial::new(framed, limit_bytes)?),
                None => Box::new(Cursor::new(raw_snappy(packed, limit_bytes)?)),
            },
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(window_log_max(limit_bytes))?;
                Box::new(decoder)
            }
        };
        Ok(Box::new(Bounded { inner, left: limit_bytes }))
    }
}

/// The largest zstd window worth accepting: nothing useful refers back farther than the bound on the output.
fn window_log_max(limit_bytes: usize) -> u32 {
    // What every decoder should accept (RFC 8878, 3.1.1.1.2: 8 MiB), and zstd's own default limit.
    const LEAST: u32 = 23;
    const MOST: u32 = 27;
    limit_bytes.max(1).ilog2().clamp(LEAST, MOST)
}

fn too_much() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the batch unpacks to more than is allowed")
}

/// A reader that fails, instead of ending, when there is more than allowed.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(out)?;
        self.left = self.left.checked_sub(got).ok_or_else(too_much)?;
        Ok(got)
    }
}

pub(super) const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// The writer's version and the oldest reader's, after the magic.
const XERIAL_VERSION_BYTES: usize = 8;

/// Blocks of raw snappy, each with its length as a big-endian number before it.
struct Xerial<'a> {
    packed: &'a [u8],
    block: Cursor<Vec<u8>>,
    limit_bytes: usize,
}

impl<'a> Xerial<'a> {
    fn new(framed: &'a [u8], limit_bytes: usize) -> io::Result<Self> {
        let packed = framed.get(XERIAL_VERSION_BYTES..).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Self { packed, block: Cursor::default(), limit_bytes })
    }
}

impl Read for Xerial<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.block.read(out)?;
            if got > 0 || out.is_empty() || self.packed.is_empty() {
                return Ok(got);
            }
            let (length, rest) = self.packed.split_first_chunk::<4>().ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (block, rest) = rest.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.block = Cursor::new(raw_snappy(block, self.limit_bytes)?);
            self.packed = rest;
        }
    }
}

fn raw_snappy(packed: &[u8], limit_bytes: usize) -> io::Result<Vec<u8>> {
    let invalid = |error: snap::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    if snap::raw::decompress_len(packed).map_err(invalid)? > limit_bytes {
        return Err(too_much());
    }
    snap::raw::Decoder::new().decompress_vec(packed).map_err(invalid)
}
