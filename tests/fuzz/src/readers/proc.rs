//! Lines of /proc/PID/stat and of times: fields are found behind whatever a program calls itself.

use crate::task::identity::start_and_state;
use crate::task::times::stamp;

/// Tries a line, and a name of a program.
pub fn hold(data: &[u8]) {
    if let Some((_, state)) = start_and_state(data) {
        assert!(!state.is_ascii_whitespace() && state != ')');
    }
    let line = [b"7 (", data, b") R 1 7 7 0 -1 4194304 90 0 0 0 0 0 0 0 20 0 1 0 777 2899968"];
    assert_eq!(start_and_state(&line.concat()), Some((777, 'R')));
    if let Some((bytes, moment)) = stamp(data) {
        assert_eq!(stamp(format!("{bytes} {moment}").as_bytes()), Some((bytes, moment)));
    }
}
