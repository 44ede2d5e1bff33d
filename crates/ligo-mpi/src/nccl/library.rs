//! NCCL and CUDA's driver, loaded when somebody asks for them: everything about them that is unsafe.
//!
//! The types are those of `nccl.h` (2.7 and later) and `cuda.h` (12 and later). CUDA's driver rather than its runtime, since it comes with the
//! device, and NCCL works in whatever context of it is current.
#![allow(
    unsafe_code,
    reason = "two libraries of C without a safe layer that finds `libnccl.so.2` and reports what is missing"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::{null, null_mut};

use libloading::Library;

use crate::Error;

/// What names a group of ranks that are to meet.
pub(super) type Id = [u8; ID_BYTES];

const ID_BYTES: usize = 128;
const FLOAT32: c_int = 7;

/// The id as NCCL takes it, by value.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawId {
    bytes: Id,
}

type Handle = *mut c_void;

/// A library as a struct of its functions. It is never unloaded: NCCL and the driver have threads that run on.
macro_rules! library {
    ($name:ident, $($field:ident = $symbol:literal: fn($($argument:ty),*) -> $result:ty),+ $(,)?) => {
        struct $name {
            $($field: unsafe extern "C" fn($($argument),*) -> $result,)+
        }

        impl $name {
            fn load(file: &OsStr) -> Result<Self, Error> {
                let missing = |error: libloading::Error| Error::Library {
                    library: file.to_string_lossy().into_owned(),
                    reason: error.to_string(),
                };
                // SAFETY: what NVIDIA's libraries do when they are loaded is meant for any program, on any thread.
                let library = ManuallyDrop::new(unsafe { Library::new(file) }.map_err(missing)?);
                Ok(Self {
                    // SAFETY: each type is that of the function in NVIDIA's header, and the function stays where it is.
                    $($field: *unsafe { library.get::<unsafe extern "C" fn($($argument),*) -> $result>($symbol) }.map_err(missing)?,)+
                })
            }
        }
    };
}

library! {
    Nccl,
    get_unique_id = b"ncclGetUniqueId\0": fn(*mut RawId) -> c_int,
    comm_init_rank = b"ncclCommInitRank\0": fn(*mut Handle, c_int, RawId, c_int) -> c_int,
    comm_destroy = b"ncclCommDestroy\0": fn(Handle) -> c_int,
    all_gather = b"ncclAllGather\0": fn(*const c_void, *mut c_void, usize, c_int, Handle, Handle) -> c_int,
    send = b"ncclSend\0": fn(*const c_void, usize, c_int, c_int, Handle, Handle) -> c_int,
    recv = b"ncclRecv\0": fn(*mut c_void, usize, c_int, c_int, Handle, Handle) -> c_int,
    group_start = b"ncclGroupStart\0": fn() -> c_int,
    group_end = b"ncclGroupEnd\0": fn() -> c_int,
    error_string = b"ncclGetErrorString\0": fn(c_int) -> *const c_char,
}

library! {
    Cuda,
    init = b"cuInit\0": fn(c_uint) -> c_int,
    device_get = b"cuDeviceGet\0": fn(*mut c_int, c_int) -> c_int,
    context_retain = b"cuDevicePrimaryCtxRetain\0": fn(*mut Handle, c_int) -> c_int,
    context_release = b"cuDevicePrimaryCtxRelease_v2\0": fn(c_int) -> c_int,
    set_current = b"cuCtxSetCurrent\0": fn(Handle) -> c_int,
    synchronize = b"cuCtxSynchronize\0": fn() -> c_int,
    alloc = b"cuMemAlloc_v2\0": fn(*mut u64, usize) -> c_int,
    free = b"cuMemFree_v2\0": fn(u64) -> c_int,
    to_device = b"cuMemcpyHtoD_v2\0": fn(u64, *const c_void, usize) -> c_int,
    to_host = b"cuMemcpyDtoH_v2\0": fn(*mut c_void, u64, usize) -> c_int,
    error_string = b"cuGetErrorString\0": fn(c_int, *mut *const c_char) -> c_int,
}

/// A static text of C.
fn text(said: *const c_char) -> String {
    if said.is_null() {
        return "an error without a name".into();
    }
    // SAFETY: both libraries give texts that end with a zero and are never freed.
    unsafe { CStr::from_ptr(said) }.to_string_lossy().into_owned()
}

impl Nccl {
    fn check(&self, call: &'static str, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: takes any number.
        let reason = text(unsafe { (self.error_string)(code) });
        Err(Error::Call { call, reason })
    }
}

impl Cuda {
    fn check(&self, call: &'static str, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        let mut said = null();
        // SAFETY: takes any number, and writes a pointer or leaves it.
        unsafe { (self.error_string)(code, &raw mut said) };
        Err(Error::Call {
            call,
            reason: text(said),
        })
    }
}

/// NCCL without a device: enough for the id of a group.
pub(super) struct Opened {
    nccl: Nccl,
}

impl Opened {
    pub(super) fn load(nccl: &Path) -> Result<Self, Error> {
        Nccl::load(nccl.as_os_str()).map(|nccl| Self { nccl })
    }

    pub(super) fn unique_id(&self) -> Result<Id, Error> {
        let mut id = RawId { bytes: [0; ID_BYTES] };
        // SAFETY: writes as many bytes.
        let code = unsafe { (self.nccl.get_unique_id)(&raw mut id) };
        self.nccl.check("ncclGetUniqueId", code).map(|()| id.bytes)
    }

    /// Takes a device, by its number.
    pub(super) fn on(self, cuda: &Path, device: usize) -> Result<Ready, Error> {
        let cuda = Cuda::load(cuda.as_os_str())?;
        let (mut place, mut context) = (0, null_mut());
        // SAFETY: takes no pointer.
        cuda.check("cuInit", unsafe { (cuda.init)(0) })?;
        // SAFETY: writes a number.
        cuda.check("cuDeviceGet", unsafe {
            (cuda.device_get)(&raw mut place, device as c_int)
        })?;
        // SAFETY: writes a pointer; given back once, when `Ready` is dropped.
        cuda.check("cuDevicePrimaryCtxRetain", unsafe {
            (cuda.context_retain)(&raw mut context, place)
        })?;
        let nccl = self.nccl;
        Ok(Ready {
            nccl,
            cuda,
            place,
            context,
        })
    }
}

/// NCCL with a device.
pub(super) struct Ready {
    nccl: Nccl,
    cuda: Cuda,
    place: c_int,
    context: Handle,
}

impl Ready {
    /// Makes the device this thread's. NCCL and the driver ask for it in every call.
    fn enter(&self) -> Result<(), Error> {
        // SAFETY: the context is alive until `self` is dropped.
        self.cuda
            .check("cuCtxSetCurrent", unsafe { (self.cuda.set_current)(self.context) })
    }

    /// Waits for the others of the group.
    pub(super) fn meet(self, id: Id, rank: usize, size: usize) -> Result<Link, Error> {
        self.enter()?;
        let mut comm = null_mut();
        let id = RawId { bytes: id };
        // SAFETY: writes a pointer; given back once, when `Link` is dropped.
        let code = unsafe { (self.nccl.comm_init_rank)(&raw mut comm, size as c_int, id, rank as c_int) };
        self.nccl.check("ncclCommInitRank", code)?;
        Ok(Link {
            comm,
            size,
            ready: self,
        })
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // SAFETY: was taken once. Nothing can be done about a failure.
        unsafe { (self.cuda.context_release)(self.place) };
    }
}

/// Memory of the device.
struct Buffer<'a> {
    cuda: &'a Cuda,
    address: u64,
    len: usize,
}

impl<'a> Buffer<'a> {
    fn new(cuda: &'a Cuda, len: usize) -> Result<Self, Error> {
        let mut address = 0;
        // SAFETY: writes an address; given back once, when the buffer is dropped.
        let code = unsafe { (cuda.alloc)(&raw mut address, len * size_of::<f32>()) };
        cuda.check("cuMemAlloc", code)?;
        Ok(Self { cuda, address, len })
    }

    fn of(cuda: &'a Cuda, values: &[f32]) -> Result<Self, Error> {
        let buffer = Self::new(cuda, values.len())?;
        // SAFETY: both have as many bytes, and the call ends when they are copied.
        let code = unsafe { (cuda.to_device)(buffer.address, values.as_ptr().cast(), size_of_val(values)) };
        cuda.check("cuMemcpyHtoD", code).map(|()| buffer)
    }

    fn read(&self) -> Result<Vec<f32>, Error> {
        let mut values = vec![0.0_f32; self.len];
        let bytes = size_of_val(values.as_slice());
        // SAFETY: both have as many bytes, and the call ends when they are copied.
        let code = unsafe { (self.cuda.to_host)(values.as_mut_ptr().cast(), self.address, bytes) };
        self.cuda.check("cuMemcpyDtoH", code).map(|()| values)
    }

    /// The address of a number, for the libraries alone.
    fn at(&self, place: usize) -> *mut c_void {
        (self.address + (place * size_of::<f32>()) as u64) as usize as *mut c_void
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: was taken once, and whatever used it has been waited for or has failed. Nothing can be done about a failure.
        unsafe { (self.cuda.free)(self.address) };
    }
}

/// This rank among those that have met. All make the same calls in the same order.
pub(super) struct Link {
    comm: Handle,
    size: usize,
    ready: Ready,
}

impl Link {
    /// Gives each rank the block of `len` numbers at its place; what all gave to this one, in the order of the ranks.
    pub(super) fn exchange(&self, blocks: &[f32], len: usize) -> Result<Vec<f32>, Error> {
        if len == 0 || blocks.len() != len * self.size {
            return Ok(Vec::new());
        }
        let Ready { nccl, cuda, .. } = &self.ready;
        self.ready.enter()?;
        let (given, taken) = (Buffer::of(cuda, blocks)?, Buffer::new(cuda, blocks.len())?);
        // SAFETY: takes nothing.
        nccl.check("ncclGroupStart", unsafe { (nccl.group_start)() })?;
        let mut begun = Ok(());
        for other in 0..self.size {
            let (from, to, peer) = (given.at(other * len), taken.at(other * len), other as c_int);
            // SAFETY: both blocks lie within their buffers, which live until the device has been waited for below.
            begun = begun
                .and_then(|()| {
                    nccl.check("ncclSend", unsafe {
                        (nccl.send)(from, len, FLOAT32, peer, self.comm, null_mut())
                    })
                })
                .and_then(|()| {
                    nccl.check("ncclRecv", unsafe {
                        (nccl.recv)(to, len, FLOAT32, peer, self.comm, null_mut())
                    })
                });
        }
        // SAFETY: takes nothing. A group that was begun is ended in any case.
        let ended = nccl.check("ncclGroupEnd", unsafe { (nccl.group_end)() });
        let done = self.wait();
        begun.and(ended).and(done)?;
        taken.read()
    }

    /// What all ranks gave, in their order; all give equally many numbers.
    pub(super) fn gather(&self, mine: &[f32]) -> Result<Vec<f32>, Error> {
        if mine.is_empty() {
            return Ok(Vec::new());
        }
        let Ready { nccl, cuda, .. } = &self.ready;
        self.ready.enter()?;
        let (given, taken) = (Buffer::of(cuda, mine)?, Buffer::new(cuda, mine.len() * self.size)?);
        // SAFETY: the second buffer has room for what all give, and both live until the device has been waited for below.
        let code = unsafe { (nccl.all_gather)(given.at(0), taken.at(0), mine.len(), FLOAT32, self.comm, null_mut()) };
        let begun = nccl.check("ncclAllGather", code);
        let done = self.wait();
        begun.and(done)?;
        taken.read()
    }

    fn wait(&self) -> Result<(), Error> {
        let cuda = &self.ready.cuda;
        // SAFETY: takes nothing.
        cuda.check("cuCtxSynchronize", unsafe { (cuda.synchronize)() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.ready.enter().is_ok() {
            // SAFETY: was made once. Nothing can be done about a failure.
            unsafe { (self.ready.nccl.comm_destroy)(self.comm) };
        }
    }
}
