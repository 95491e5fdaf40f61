//! The acceptor's side of GSSAPI (RFC 2744) through the system's `libgssapi_krb5.so.2`, opened at run time.
//!
//! The only module with unsafe code. Always true: every function is declared as the library's header has it; every pointer that
//! is passed outlives its call; everything the library allocates is released, whichever way a call ends; bytes are copied before
//! their buffer is released. No handle leaves this module.

#![expect(
    unsafe_code,
    reason = "GSSAPI is a C library; nothing else judges Kerberos tickets by a keytab with a replay cache"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use libloading::Library;

/// The name every Linux has for MIT Kerberos' library.
const LIBRARY: &str = "libgssapi_krb5.so.2";
/// Bits of a status that mean failure (RFC 2744 §3.9.1): calling and routine errors.
const FAILURE: u32 = 0xffff_0000;
/// RFC 2744 §5.1: another leg is wanted.
const CONTINUE_NEEDED: u32 = 1;
/// RFC 2744 Appendix A: the credential is for accepting.
const ACCEPT: c_int = 2;
/// RFC 2744 Appendix A: the initiator is anonymous.
const ANONYMOUS: u32 = 64;
/// RFC 2744 §5.11: status values of the mechanism, and of GSSAPI itself.
const MECHANISM_STATUS: c_int = 2;
const GSS_STATUS: c_int = 1;
/// Longest token that is given to the library.
const MAX_TOKEN: usize = 64 * 1024;

/// 1.3.6.1.5.5.2 (RFC 4178) and 1.2.840.113554.1.2.2 (RFC 4121), in DER without tag and length.
const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";

/// Why the library can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "a kerberos realm needs {LIBRARY} (Debian and Ubuntu: package libgssapi-krb5-2; Fedora: krb5-libs): {source}"
)]
pub struct LibraryError {
    source: libloading::Error,
}

/// Why a ticket was not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The keytab can't be used.
    #[error("keytab: {0}")]
    Keytab(String),
    /// The ticket is no good.
    #[error("{0}")]
    Refused(String),
}

/// What one leg came to.
#[derive(Debug)]
pub struct Accepted {
    /// Who it is, as Kerberos writes it; `None`: another leg is wanted first.
    pub name: Option<String>,
    /// What the initiator is to be told.
    pub reply: Vec<u8>,
}

/// `gss_buffer_desc`
#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

/// `gss_OID_desc`
#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

/// `gss_OID_set_desc`
#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

/// `gss_key_value_element_desc`
#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

/// `gss_key_value_set_desc`
#[repr(C)]
struct KeyValues {
    count: u32,
    elements: *const KeyValue,
}

type Handle = *mut c_void;
type AcquireCredFrom = unsafe extern "C" fn(
    *mut u32,
    Handle,
    u32,
    *const OidSet,
    c_int,
    *const KeyValues,
    *mut Handle,
    *mut Handle,
    *mut u32,
) -> u32;
type AcceptSecContext = unsafe extern "C" fn(
    *mut u32,
    *mut Handle,
    Handle,
    *const Buffer,
    Handle,
    *mut Handle,
    *mut Handle,
    *mut Buffer,
    *mut u32,
    *mut u32,
    *mut Handle,
) -> u32;
type DisplayName = unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut Handle) -> u32;
type DisplayStatus =
    unsafe extern "C" fn(*mut u32, u32, c_int, Handle, *mut u32, *mut Buffer) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(*mut u32, *mut Buffer) -> u32;
type ReleaseHandle = unsafe extern "C" fn(*mut u32, *mut Handle) -> u32;
type DeleteContext = unsafe extern "C" fn(*mut u32, *mut Handle, *mut Buffer) -> u32;

/// The library's functions.
pub struct Gss {
    acquire_cred_from: AcquireCredFrom,
    accept_sec_context: AcceptSecContext,
    display_name: DisplayName,
    display_status: DisplayStatus,
    release_buffer: ReleaseBuffer,
    release_name: ReleaseHandle,
    release_cred: ReleaseHandle,
    delete_sec_context: DeleteContext,
    // Last, so that the functions are gone before their code is.
    _library: Library,
}

impl Gss {
    /// Opens the library.
    ///
    /// # Errors
    /// [`LibraryError`], which tells what to install.
    pub fn load() -> Result<Self, LibraryError> {
        let fault = |source| LibraryError { source };
        // SAFETY: the library's initialisers set up its own tables only; it is MIT's, whose functions are declared above as its
        // headers gssapi.h and gssapi_ext.h have them. The copied function pointers live no longer than `_library` beside them.
        unsafe {
            let library = Library::new(LIBRARY).map_err(fault)?;
            Ok(Self {
                acquire_cred_from: *library.get(b"gss_acquire_cred_from\0").map_err(fault)?,
                accept_sec_context: *library.get(b"gss_accept_sec_context\0").map_err(fault)?,
                display_name: *library.get(b"gss_display_name\0").map_err(fault)?,
                display_status: *library.get(b"gss_display_status\0").map_err(fault)?,
                release_buffer: *library.get(b"gss_release_buffer\0").map_err(fault)?,
                release_name: *library.get(b"gss_release_name\0").map_err(fault)?,
                release_cred: *library.get(b"gss_release_cred\0").map_err(fault)?,
                delete_sec_context: *library.get(b"gss_delete_sec_context\0").map_err(fault)?,
                _library: library,
            })
        }
    }

    /// Judges one token by a keytab (`FILE:/path`). Blocks: it reads the keytab and writes the replay cache.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub fn accept(&self, keytab: &CStr, token: &[u8]) -> Result<Accepted, AcceptError> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(AcceptError::Refused(
                "the ticket is empty or too long".to_owned(),
            ));
        }
        let credential = self.acquire(keytab)?;
        let input = Buffer {
            length: token.len(),
            value: token.as_ptr().cast_mut().cast(),
        };
        let mut context = Owned::new(self, Kind::Context);
        let mut name = Owned::new(self, Kind::Name);
        let mut output = Output::new(self);
        let (mut minor, mut flags, mut life) = (0, 0, 0);
        // SAFETY: `input` borrows `token`, which the library only reads and which outlives the call; every other pointer is to a
        // local that outlives it; the optional results are null, as RFC 2744 §5.1 allows.
        let major = unsafe {
            (self.accept_sec_context)(
                &raw mut minor,
                &raw mut context.handle,
                credential.handle,
                &raw const input,
                ptr::null_mut(),
                &raw mut name.handle,
                ptr::null_mut(),
                &raw mut output.buffer,
                &raw mut flags,
                &raw mut life,
                ptr::null_mut(),
            )
        };
        if major & FAILURE != 0 {
            return Err(AcceptError::Refused(self.explain(major, minor)));
        }
        let reply = output.bytes().to_vec();
        if major & CONTINUE_NEEDED != 0 {
            return Ok(Accepted { name: None, reply });
        }
        if flags & ANONYMOUS != 0 {
            return Err(AcceptError::Refused(
                "the initiator is anonymous".to_owned(),
            ));
        }
        Ok(Accepted {
            name: Some(self.name_of(&name)?),
            reply,
        })
    }

    fn acquire(&self, keytab: &CStr) -> Result<Owned<'_>, AcceptError> {
        let oid = |bytes: &'static [u8]| Oid {
            // Two short constants.
            length: bytes.len() as u32,
            elements: bytes.as_ptr().cast(),
        };
        let mechanisms = [oid(SPNEGO), oid(KERBEROS)];
        let set = OidSet {
            count: mechanisms.len(),
            elements: mechanisms.as_ptr(),
        };
        let store = [KeyValue {
            key: c"keytab".as_ptr(),
            value: keytab.as_ptr(),
        }];
        let stores = KeyValues {
            count: 1,
            elements: store.as_ptr(),
        };
        let mut credential = Owned::new(self, Kind::Credential);
        let mut minor = 0;
        // SAFETY: the sets and what they point to are locals or constants that outlive the call; the optional results are null.
        // A null name stands for every key of the keytab.
        let major = unsafe {
            (self.acquire_cred_from)(
                &raw mut minor,
                ptr::null_mut(),
                u32::MAX,
                &raw const set,
                ACCEPT,
                &raw const stores,
                &raw mut credential.handle,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if major & FAILURE != 0 {
            return Err(AcceptError::Keytab(self.explain(major, minor)));
        }
        Ok(credential)
    }

    fn name_of(&self, name: &Owned<'_>) -> Result<String, AcceptError> {
        let unnamed = || AcceptError::Refused("the ticket names nobody".to_owned());
        if name.handle.is_null() {
            return Err(unnamed());
        }
        let mut shown = Output::new(self);
        let mut minor = 0;
        // SAFETY: `name` is a live name of the library's; the results are locals; the type of the name is not asked for.
        let major = unsafe {
            (self.display_name)(
                &raw mut minor,
                name.handle,
                &raw mut shown.buffer,
                ptr::null_mut(),
            )
        };
        if major & FAILURE != 0 {
            return Err(unnamed());
        }
        String::from_utf8(shown.bytes().to_vec()).map_err(|_| unnamed())
    }

    /// What a status means: GSSAPI's words and the mechanism's.
    fn explain(&self, major: u32, minor: u32) -> String {
        let words = |status, kind| {
            let mut text = Output::new(self);
            let (mut ignored, mut more) = (0, 0);
            // SAFETY: the results are locals that outlive the call; a null mechanism stands for the default one.
            unsafe {
                (self.display_status)(
                    &raw mut ignored,
                    status,
                    kind,
                    ptr::null_mut(),
                    &raw mut more,
                    &raw mut text.buffer,
                );
            }
            String::from_utf8_lossy(text.bytes()).into_owned()
        };
        format!(
            "{}: {}",
            words(major, GSS_STATUS),
            words(minor, MECHANISM_STATUS)
        )
    }
}

/// Which function releases a handle.
enum Kind {
    Credential,
    Context,
    Name,
}

/// A handle of the library's, released when dropped.
struct Owned<'g> {
    gss: &'g Gss,
    kind: Kind,
    handle: Handle,
}

impl<'g> Owned<'g> {
    const fn new(gss: &'g Gss, kind: Kind) -> Self {
        Self {
            gss,
            kind,
            handle: ptr::null_mut(),
        }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let mut minor = 0;
        let handle = &raw mut self.handle;
        // SAFETY: the handle was made by the library, is of this kind, and is released only here.
        unsafe {
            match self.kind {
                Kind::Credential => (self.gss.release_cred)(&raw mut minor, handle),
                Kind::Name => (self.gss.release_name)(&raw mut minor, handle),
                Kind::Context => {
                    (self.gss.delete_sec_context)(&raw mut minor, handle, ptr::null_mut())
                }
            };
        }
    }
}

/// A buffer that the library fills, released when dropped.
struct Output<'g> {
    gss: &'g Gss,
    buffer: Buffer,
}

impl<'g> Output<'g> {
    const fn new(gss: &'g Gss) -> Self {
        Self {
            gss,
            buffer: Buffer {
                length: 0,
                value: ptr::null_mut(),
            },
        }
    }

    fn bytes(&self) -> &[u8] {
        match NonNull::new(self.buffer.value.cast::<u8>()) {
            // SAFETY: the library filled `length` bytes at `value`, which live until the buffer is released in `drop`.
            Some(value) => unsafe {
                std::slice::from_raw_parts(value.as_ptr(), self.buffer.length)
            },
            None => &[],
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the buffer is empty or was filled by the library; releasing either is allowed (RFC 2744 §5.26).
        unsafe {
            (self.gss.release_buffer)(&raw mut minor, &raw mut self.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_and_a_missing_keytab_are_refused_with_reasons() {
        // Without the library there is nothing to test; the realm says so when it is opened.
        let Ok(gss) = Gss::load() else { return };
        for token in [
            &b""[..],
            b"x",
            b"\x60\x01",
            &[0x60; 100],
            &[0; MAX_TOKEN + 1],
        ] {
            let refused = gss.accept(c"FILE:/nonexistent/keytab", token).unwrap_err();
            assert!(!refused.to_string().is_empty());
        }
    }
}
