//! GZIP and Zstandard, told by a file's first bytes and undone piece by piece: what is in memory is bounded, however
//! well the file was compressed.

use std::{fmt, io::Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use crate::Problem;

/// Bytes that are decompressed at a time: DEFLATE makes at most about a thousand of each.
const GZIP_STEP: usize = 1 << 10;
/// Bytes by which the output of Zstandard grows.
const ZSTD_STEP: usize = 128 << 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// GZIP.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Bytes by which a compression is told.
    pub const TOLD_BY: usize = 4;

    /// The compression of a file that begins so. No text does.
    #[must_use]
    pub fn of(beginning: &[u8]) -> Option<Self> {
        if beginning.starts_with(&[0x1F, 0x8B]) {
            Some(Self::Gzip)
        } else if beginning.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// Decompresses a file that comes in pieces.
pub struct Decompressor(Kind);

enum Kind {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd { decoder: ZstdDecoder<'static>, between_frames: bool },
}

impl Decompressor {
    /// A decompressor at the beginning of a file.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(compression: Compression) -> Result<Self, Problem> {
        Ok(Self(match compression {
            Compression::Gzip => Kind::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Compression::Zstd => Kind::Zstd {
                decoder: ZstdDecoder::new().map_err(|error| Problem::unreadable(error.to_string()))?,
                between_frames: true,
            },
        }))
    }

    /// Decompresses from `input` until it is empty or `out` holds about `enough` bytes.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn push(&mut self, input: &mut &[u8], out: &mut Vec<u8>, enough: usize) -> Result<(), Problem> {
        match &mut self.0 {
            Kind::Gzip(decoder) => {
                while !input.is_empty() && out.len() < enough {
                    let step = &input[..input.len().min(GZIP_STEP)];
                    let taken = decoder.write(step).map_err(|error| damaged("GZIP", &error))?;
                    if taken == 0 {
                        return Err(damaged("GZIP", &"something stands after its end"));
                    }
                    *input = &input[taken..];
                    out.append(decoder.get_mut());
                }
            }
            Kind::Zstd { decoder, between_frames } => {
                let mut source = InBuffer::around(input);
                while !input.is_empty() {
                    let (held, before) = (out.len(), source.pos());
                    out.resize(held + ZSTD_STEP, 0);
                    let mut target = OutBuffer::around_pos(out.as_mut_slice(), held);
                    let hint = decoder.run(&mut source, &mut target);
                    let made = target.pos();
                    out.truncate(made);
                    let hint = hint.map_err(|error| damaged("Zstandard", &error))?;
                    if made > held || source.pos() > before {
                        *between_frames = hint == 0;
                    }
                    // Output that filled its room may not be all there is.
                    let is_drained = made < held + ZSTD_STEP;
                    if source.pos() == input.len() && is_drained || out.len() >= enough {
                        break;
                    }
                }
                *input = &input[source.pos()..];
            }
        }
        Ok(())
    }

    /// Whether the file may end here; gives what was still held.
    ///
    /// # Errors
    /// It may not.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Problem> {
        match &mut self.0 {
            Kind::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| damaged("GZIP", &error))?;
                out.append(decoder.get_mut());
                Ok(())
            }
            Kind::Zstd { between_frames: true, .. } => Ok(()),
            Kind::Zstd { decoder, .. } => {
                // The last bytes may have made more than there was room for.
                loop {
                    let mut source = InBuffer::around(&[]);
                    let held = out.len();
                    out.resize(held + ZSTD_STEP, 0);
                    let mut target = OutBuffer::around_pos(out.as_mut_slice(), held);
                    let hint = decoder.run(&mut source, &mut target);
                    let made = target.pos();
                    out.truncate(made);
                    match hint {
                        Ok(0) => return Ok(()),
                        Ok(_) if made > held => {}
                        Ok(_) => return Err(damaged("Zstandard", &"it ends too early")),
                        Err(error) => return Err(damaged("Zstandard", &error)),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Gzip(_) => "Decompressor(Gzip)",
            Kind::Zstd { .. } => "Decompressor(Zstd)",
        })
    }
}

fn damaged(format: &str, error: &dyn fmt::Display) -> Problem {
    Problem::unreadable(format!("the {format} file is damaged: {error}"))
}
