//! Reads the images of a request.

use crate::limits::IMAGE_BYTES_MAX;
use belay_agents::{Image, RunRequest};
use belay_trace::open_regular;
use belay_trace::{Failure, FailureKind};
use std::io::Read as _;

/// Puts the images' content into the request.
///
/// What is no image, or none that anybody would take, is an error before the agent costs anything.
pub(crate) fn load(request: &mut RunRequest) -> Result<(), Failure> {
    for image in &mut request.images {
        if !image.is_loaded() {
            *image = read(image)?;
        }
    }
    Ok(())
}

fn read(image: &Image) -> Result<Image, Failure> {
    let path = image.path();
    let wrong = |what: String| {
        let message = format!("the image {}: {what}", path.display());
        Failure::new(FailureKind::InvalidRequest, message)
    };
    // An agent has a working directory of its own.
    let absolute = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
    let file = open_regular(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = file.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > IMAGE_BYTES_MAX {
        return Err(wrong(format!("larger than {} MiB", IMAGE_BYTES_MAX >> 20)));
    }
    Image::new(absolute).with_content(bytes).map_err(|error| wrong(error.to_string()))
}
