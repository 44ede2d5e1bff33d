/* A libcuda without a GPU: memory is the host's, copies are real, a kernel is looked up and not run.
 *
 * With it burn's CUDA backend starts anywhere, asks NVRTC to compile each kernel for the architecture that CUDA_DRIVER_SM
 * names, and loads the result, whose name goes to the file CUDA_DRIVER_LOADED. Numbers that kernels would have written stay
 * zero. Only the entry points that cubecl-cuda calls are here; a missing one ends the test with its name. Values are those
 * of NVIDIA's cuda.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t DevicePtr;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

/* 80 (A100) or 90 (H100). */
static int sm(void) {
    const char *value = getenv("CUDA_DRIVER_SM");
    return value ? atoi(value) : 80;
}

/* Something that is not null, for handles that nothing looks into. */
static char token;

static Result hand_out(void **handle) {
    *handle = &token;
    return SUCCESS;
}

Result cuInit(unsigned flags) { (void)flags; return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 12080; return SUCCESS; }
Result cuGetErrorName(Result error, const char **text) { (void)error; *text = "CUDA_ERROR"; return SUCCESS; }
Result cuGetErrorString(Result error, const char **text) { (void)error; *text = "refused by the driver of the test"; return SUCCESS; }

Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal == 0 ? SUCCESS : INVALID_VALUE; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)80 << 30; return SUCCESS; }

Result cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    snprintf(name, (size_t)length, "no GPU, sm_%d", sm());
    return SUCCESS;
}

Result cuDeviceGetPCIBusId(char *id, int length, int device) {
    (void)device;
    snprintf(id, (size_t)length, "0000:01:00.0");
    return SUCCESS;
}

Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case 1: *value = 1024; break;                          /* threads of a block */
    case 2: case 3: *value = 1024; break;                  /* its extent in x and y */
    case 4: *value = 64; break;                            /* and in z */
    case 5: *value = 2147483647; break;                    /* blocks of a grid in x */
    case 6: case 7: *value = 65535; break;                 /* and in y and z */
    case 10: *value = 32; break;                           /* threads of a warp */
    case 16: *value = sm() >= 90 ? 132 : 108; break;       /* multiprocessors */
    case 75: *value = sm() / 10; break;                    /* compute capability */
    case 76: *value = sm() % 10; break;
    case 97: *value = sm() >= 90 ? 232448 : 166912; break; /* shared memory that a block may ask for, bytes */
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; return hand_out(context); }
Result cuCtxSetCurrent(void *context) { (void)context; return SUCCESS; }

Result cuStreamCreate(void **stream, unsigned flags) { (void)flags; return hand_out(stream); }
Result cuStreamSynchronize(void *stream) { (void)stream; return SUCCESS; }
Result cuStreamDestroy_v2(void *stream) { (void)stream; return SUCCESS; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)stream; (void)event; (void)flags; return SUCCESS; }
Result cuEventCreate(void **event, unsigned flags) { (void)flags; return hand_out(event); }
Result cuEventRecord(void *event, void *stream) { (void)event; (void)stream; return SUCCESS; }
Result cuEventSynchronize(void *event) { (void)event; return SUCCESS; }
Result cuEventDestroy_v2(void *event) { (void)event; return SUCCESS; }
Result cuEventElapsedTime(float *milliseconds, void *start, void *end) { (void)start; (void)end; *milliseconds = 1; return SUCCESS; }

Result cuMemAlloc_v2(DevicePtr *pointer, size_t bytes) {
    *pointer = (DevicePtr)(uintptr_t)calloc(bytes ? bytes : 1, 1);
    return *pointer ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemAllocAsync(DevicePtr *pointer, size_t bytes, void *stream) { (void)stream; return cuMemAlloc_v2(pointer, bytes); }
Result cuMemFree_v2(DevicePtr pointer) { free((void *)(uintptr_t)pointer); return SUCCESS; }
Result cuMemFreeAsync(DevicePtr pointer, void *stream) { (void)stream; return cuMemFree_v2(pointer); }
Result cuMemAllocHost_v2(void **pointer, size_t bytes) { *pointer = calloc(bytes ? bytes : 1, 1); return *pointer ? SUCCESS : OUT_OF_MEMORY; }
Result cuMemFreeHost(void *pointer) { free(pointer); return SUCCESS; }

Result cuMemcpyHtoDAsync_v2(DevicePtr to, const void *from, size_t bytes, void *stream) {
    (void)stream;
    memcpy((void *)(uintptr_t)to, from, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoHAsync_v2(void *to, DevicePtr from, size_t bytes, void *stream) {
    (void)stream;
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoDAsync_v2(DevicePtr to, DevicePtr from, size_t bytes, void *stream) {
    (void)stream;
    memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return SUCCESS;
}

/* CUDA_MEMCPY2D. */
typedef struct {
    size_t from_x, from_y;
    int from_type;
    const void *from_host;
    DevicePtr from_device;
    void *from_array;
    size_t from_pitch, to_x, to_y;
    int to_type;
    void *to_host;
    DevicePtr to_device;
    void *to_array;
    size_t to_pitch, width, height;
} Copy2D;

Result cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) {
    enum { HOST = 1 };
    (void)stream;
    const char *from = copy->from_type == HOST ? copy->from_host : (const char *)(uintptr_t)copy->from_device;
    char *to = copy->to_type == HOST ? copy->to_host : (char *)(uintptr_t)copy->to_device;
    for (size_t row = 0; row < copy->height; row++) {
        memcpy(to + row * copy->to_pitch, from + row * copy->from_pitch, copy->width);
    }
    return SUCCESS;
}

/* A module is its PTX, which must be for this architecture. */
Result cuModuleLoadData(void **module, const void *ptx) {
    char target[32];
    snprintf(target, sizeof target, ".target sm_%d", sm());
    *module = strdup(ptx);
    return *module && strstr(ptx, target) && strstr(ptx, ".entry") ? SUCCESS : INVALID_VALUE;
}

Result cuModuleGetFunction(void **function, void *module, const char *name) {
    const char *path = getenv("CUDA_DRIVER_LOADED");
    FILE *loaded = path ? fopen(path, "a") : NULL;
    if (!strstr(module, name) || !loaded) {
        return NOT_FOUND;
    }
    fprintf(loaded, "%s\n", name);
    fclose(loaded);
    return hand_out(function);
}
Result cuFuncSetAttribute(void *function, int attribute, int value) { (void)function; (void)attribute; (void)value; return SUCCESS; }
Result cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                      unsigned block_z, unsigned shared_bytes, void *stream, void **arguments, void **extra) {
    (void)stream; (void)arguments; (void)extra;
    int is_empty = !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z;
    int is_large = grid_y > 65535 || grid_z > 65535 || (uint64_t)block_x * block_y * block_z > 1024 || shared_bytes > 232448;
    return !function || is_empty || is_large ? INVALID_VALUE : SUCCESS;
}
