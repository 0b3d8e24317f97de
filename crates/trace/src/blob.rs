//! Reading back the long texts that stand beside the events.

use crate::journal::BLOBS_DIR;
use crate::{BlobRef, Record};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// The largest blob that is read: eight times the longest line of an agent, for texts that come in pieces.
const BLOB_BYTES_MAX: u64 = 512 << 20;

impl Record {
    /// Puts the long texts back that stand in a run's folder beside the record's line.
    ///
    /// A text whose file is missing or damaged keeps its beginning, and its place in [`blobs`](Self::blobs) says
    /// so. The length of a file is checked, its content is not.
    pub fn restore(&mut self, folder: &Path) {
        for blob in std::mem::take(&mut self.blobs) {
            let filled = read(folder, &blob).is_some_and(|text| self.fill(&blob.field, text));
            if !filled {
                self.blobs.push(blob);
            }
        }
    }
}

/// The text of a blob, if its file is there and is what was written.
fn read(folder: &Path, blob: &BlobRef) -> Option<String> {
    // Nothing else can be in the name: it becomes a path.
    let is_name = blob.sha256.len() == 64 && blob.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_name || blob.bytes > BLOB_BYTES_MAX {
        return None;
    }
    let folder = folder.join(BLOBS_DIR);
    let path = folder.join(&blob.sha256);
    let is_dir = fs::symlink_metadata(&folder).is_ok_and(|data| data.is_dir());
    let file = fs::symlink_metadata(&path).ok()?;
    if !is_dir || !file.is_file() || file.len() != blob.bytes {
        return None;
    }
    let mut text = Vec::with_capacity(usize::try_from(blob.bytes).ok()?);
    File::open(path).ok()?.take(blob.bytes).read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Json, RunResult, ToolCall, ToolResult};
    use std::path::PathBuf;

    /// A run's folder; the records are stored in it as the journal does it, with names that are no hashes.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("belay-blob-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join(BLOBS_DIR)).unwrap();
        folder
    }

    fn store(record: &mut Record, folder: &Path) {
        for (n, field) in record.take_long_fields(100).into_iter().enumerate() {
            let sha256 = format!("{n:064x}");
            fs::write(folder.join(BLOBS_DIR).join(&sha256), field.text()).unwrap();
            let (field, bytes) = (field.name().to_owned(), field.text().len() as u64);
            record.blobs.push(BlobRef { field, sha256, bytes });
        }
    }

    fn long_records() -> Vec<Record> {
        let long = "ä\0\u{2028}\"".repeat(5000);
        let json = || Json::parse(format!(r#"{{ "n":1.00,"s":"{}" }}"#, "x".repeat(9000))).unwrap();
        let result =
            RunResult { result: long.clone(), structured: Some(json()), ..RunResult::default() };
        let output = ToolResult { output: long, ..ToolResult::default() };
        let call = ToolCall { args: json(), ..ToolCall::default() };
        let events = [Event::ToolResult(output), Event::ToolCall(call), Event::Result(result)];
        events.map(|event| Record::new("r", event)).into()
    }

    #[test]
    fn a_long_field_comes_back_whole_and_its_line_is_short() {
        let folder = folder("whole");
        for record in long_records() {
            let mut stored = record.clone();
            store(&mut stored, &folder);
            let line = serde_json::to_vec(&stored).unwrap();
            assert!(line.len() < 20_000, "{}", line.len());
            let mut read = Record::from_line(&line).unwrap();
            assert_ne!(read, record);
            read.restore(&folder);
            assert_eq!(
                serde_json::to_string(&read).unwrap(),
                serde_json::to_string(&record).unwrap()
            );
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_field_that_was_taken_out_can_be_put_back() {
        for record in long_records() {
            let mut changed = record.clone();
            let fields = changed.take_long_fields(100);
            assert!(!fields.is_empty() && changed != record);
            changed.put_back(fields);
            assert_eq!(changed, record);
        }
    }

    #[test]
    fn a_blob_that_is_missing_damaged_or_elsewhere_leaves_the_beginning_and_says_so() {
        let folder = folder("damaged");
        let record = long_records().remove(0);
        let mut stored = record.clone();
        store(&mut stored, &folder);
        let path = folder.join(BLOBS_DIR).join(&stored.blobs[0].sha256);
        let check = |what: &str, stored: &Record| {
            let mut read = stored.clone();
            read.restore(&folder);
            assert_eq!(&read, stored, "{what}");
        };
        fs::write(&path, "short").unwrap();
        check("damaged", &stored);
        fs::write(&path, vec![0xff; usize::try_from(stored.blobs[0].bytes).unwrap()]).unwrap();
        check("no UTF-8", &stored);
        fs::remove_file(&path).unwrap();
        check("missing", &stored);
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let mut elsewhere = stored.clone();
        elsewhere.blobs[0].bytes = fs::metadata("/etc/passwd").unwrap().len();
        check("a link", &elsewhere);
        elsewhere.blobs[0].sha256 = "../../../../../../etc/passwd".to_owned();
        check("no name", &elsewhere);
        fs::remove_dir_all(folder).unwrap();
    }
}
