//! The PROXY protocol: whatever comes, the header is read whole or not at all, and what follows is not touched.

use std::cell::RefCell;

use sidegate::net::proxy_protocol::{Told, read};
use tokio::runtime::Runtime;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    RUNTIME.with_borrow_mut(|slot| {
        let runtime = slot.get_or_insert_with(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().expect("a runtime")
        });
        let mut left = data;
        let Ok(told) = runtime.block_on(read(&mut left)) else {
            return;
        };
        let header = &data[..data.len() - left.len()];
        assert!(header.len() <= 4096, "{} bytes were taken", header.len());
        let text = header.starts_with(b"PROXY ");
        if text {
            assert!(header.ends_with(b"\r\n") && header.len() <= 107);
            assert_eq!(header.windows(2).filter(|end| end == b"\r\n").count(), 1);
        } else {
            let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
            assert_eq!(header.len(), 16 + length);
        }
        if let (Told::Client(address), true) = (told, text) {
            let line = String::from_utf8_lossy(header);
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(
                words.get(2).and_then(|word| word.parse().ok()),
                Some(address.ip())
            );
            assert_eq!(
                words.get(4).and_then(|word| word.parse().ok()),
                Some(address.port())
            );
        }
        // What follows makes no difference, and is what it was.
        let mut longer = header.to_vec();
        longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let mut after = longer.as_slice();
        let again = runtime.block_on(read(&mut after)).expect("the same header");
        assert_eq!(again, told);
        assert_eq!(after, b"GET / HTTP/1.1\r\n");
    });
}
