//! Vectorscan (or Hyperscan), opened when the program runs: a machine without it builds and measures the rest.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use super::engines::Engine;

const BLOCK_MODE: c_uint = 1;
const SOM_LEFTMOST: c_uint = 256;

#[repr(C)]
struct CompileError {
    message: *const c_char,
    expression: c_int,
}

type OnMatch = extern "C" fn(c_uint, c_ulonglong, c_ulonglong, c_uint, *mut c_void) -> c_int;
type CompileMulti = unsafe extern "C" fn(
    *const *const c_char,
    *const c_uint,
    *const c_uint,
    c_uint,
    c_uint,
    *const c_void,
    *mut *mut c_void,
    *mut *mut CompileError,
) -> c_int;
type AllocScratch = unsafe extern "C" fn(*const c_void, *mut *mut c_void) -> c_int;
type Scan =
    unsafe extern "C" fn(*const c_void, *const c_char, c_uint, c_uint, *mut c_void, OnMatch, *mut c_void) -> c_int;

pub struct Vectorscan {
    scan: Scan,
    database: *mut c_void,
    scratch: *mut c_void,
}

extern "C" fn count(_: c_uint, _: c_ulonglong, _: c_ulonglong, _: c_uint, context: *mut c_void) -> c_int {
    // SAFETY: `context` is the counter that `scan` passes, which outlives the call.
    unsafe { *context.cast::<u64>() += 1 };
    0
}

impl Vectorscan {
    /// Compiles the regexes that the library takes; the others are left out, which is said.
    pub fn new(library: Option<&Path>, regexes: &[&str], starts: bool) -> Result<Self, Box<dyn std::error::Error>> {
        let path = library.map_or_else(|| "libhs.so.5".into(), |path| path.to_string_lossy());
        let path = CString::new(path.as_bytes())?;
        // SAFETY: a C string; the library's initialisers are its own affair. The handle is never closed.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err("libhs is not here".into());
        }
        let symbol = |name: &CStr| {
            // SAFETY: `handle` is open, `name` a C string.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if symbol.is_null() { Err("libhs lacks a function") } else { Ok(symbol) }
        };
        // SAFETY: these are the functions of hs.h with these types, in all 5.x versions.
        let (compile, alloc, scan) = unsafe {
            (
                std::mem::transmute::<*mut c_void, CompileMulti>(symbol(c"hs_compile_multi")?),
                std::mem::transmute::<*mut c_void, AllocScratch>(symbol(c"hs_alloc_scratch")?),
                std::mem::transmute::<*mut c_void, Scan>(symbol(c"hs_scan")?),
            )
        };
        let compile = |regexes: &[&CString]| {
            let pointers: Vec<*const c_char> = regexes.iter().map(|regex| regex.as_ptr()).collect();
            let flags = vec![if starts { SOM_LEFTMOST } else { 0 }; regexes.len()];
            let ids: Vec<c_uint> = (0..regexes.len() as c_uint).collect();
            let (mut database, mut error) = (null_mut(), null_mut::<CompileError>());
            // SAFETY: three arrays of the given length, and places for two pointers.
            let code = unsafe {
                compile(
                    pointers.as_ptr(),
                    flags.as_ptr(),
                    ids.as_ptr(),
                    regexes.len() as c_uint,
                    BLOCK_MODE,
                    null(),
                    &raw mut database,
                    &raw mut error,
                )
            };
            if code == 0 {
                return Ok(database);
            }
            if error.is_null() {
                return Err("no reason".to_owned());
            }
            // SAFETY: on failure the library gives an error with a C string; it is leaked, once a run.
            Err(unsafe { CStr::from_ptr((*error).message) }.to_string_lossy().into_owned())
        };
        let all: Vec<CString> = regexes.iter().map(|regex| CString::new(*regex)).collect::<Result<_, _>>()?;
        let taken: Vec<&CString> = all.iter().filter(|regex| compile(&[regex]).is_ok()).collect();
        if taken.len() < all.len() {
            let what = if starts { "spans" } else { "ends" };
            eprintln!("Vectorscan, {what}: takes {} of {} rules", taken.len(), all.len());
        }
        let database = compile(&taken)?;
        let mut scratch = null_mut();
        // SAFETY: a database of this library, and a place for a pointer.
        if unsafe { alloc(database, &raw mut scratch) } != 0 {
            return Err("hs_alloc_scratch failed".into());
        }
        Ok(Self { scan, database, scratch })
    }
}

impl Engine for Vectorscan {
    fn scan(&mut self, text: &[u8]) -> u64 {
        let mut found = 0_u64;
        // SAFETY: database and scratch belong together and live as long as `self`; `count` gets the counter it expects.
        unsafe {
            (self.scan)(
                self.database,
                text.as_ptr().cast(),
                text.len() as c_uint,
                0,
                self.scratch,
                count,
                (&raw mut found).cast(),
            );
        }
        found
    }
}
