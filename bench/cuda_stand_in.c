/* Stands in for the CUDA runtime where there is no GPU: memory is the host's, kernels compute nothing, all else succeeds. */

#include <stdlib.h>
#include <string.h>

enum { SHARED_MEMORY = 232448, THREADS = 1024, WARP = 32, PROCESSORS = 132, VERSION = 13000 };

static int new_handle(void **handle) { return (*handle = calloc(1, 64)) == NULL; }

int cudaMalloc(void **memory, size_t bytes) { return (*memory = calloc(1, bytes + 512)) == NULL; }
int cudaMallocHost(void **memory, size_t bytes) { return cudaMalloc(memory, bytes); }
int cudaHostAlloc(void **memory, size_t bytes, unsigned flags) { return cudaMalloc(memory, bytes); }
int cudaMallocFromPoolAsync(void **memory, size_t bytes, void *pool, void *stream) { return cudaMalloc(memory, bytes); }
int cudaFree(void *memory) { free(memory); return 0; }
int cudaFreeHost(void *memory) { return cudaFree(memory); }
int cudaFreeAsync(void *memory, void *stream) { return cudaFree(memory); }
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind) { memcpy(to, from, bytes); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) { memcpy(to, from, bytes); return 0; }
int cudaMemset(void *memory, int value, size_t bytes) { memset(memory, value, bytes); return 0; }
int cudaMemsetAsync(void *memory, int value, size_t bytes, void *stream) { memset(memory, value, bytes); return 0; }
int cudaMemGetInfo(size_t *free_bytes, size_t *bytes) { *free_bytes = *bytes = (size_t)80 << 30; return 0; }

int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = VERSION; return 0; }

/* the numbers are those of cudaDeviceAttr: compute capability 9.0, as an H100 has */
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
        case 10: *value = WARP; break;
        case 16: *value = PROCESSORS; break;
        case 75: *value = 9; break;
        case 76: *value = 0; break;
        case 8: case 97: *value = SHARED_MEMORY; break;
        default: *value = THREADS;
    }
    return 0;
}

struct properties { /* the beginning of CUDA 13's cudaDeviceProp */
    char name[256], uuid[16], luid[8];
    unsigned node_mask;
    size_t memory, shared_memory_per_block;
    int registers_per_block, warp;
    size_t pitch;
    int threads_per_block, block[3], grid[3];
    size_t constant_memory;
    int major, minor;
    size_t texture_alignment, texture_pitch_alignment;
    int processors;
};

int cudaGetDeviceProperties(struct properties *found, int device) {
    memset(found, 0, sizeof *found);
    strcpy(found->name, "stand-in");
    found->memory = (size_t)80 << 30;
    found->shared_memory_per_block = 49152;
    found->registers_per_block = 65536;
    found->warp = WARP;
    found->threads_per_block = THREADS;
    for (int axis = 0; axis < 3; axis++) {
        found->block[axis] = THREADS;
        found->grid[axis] = 65535;
    }
    found->major = 9;
    found->processors = PROCESSORS;
    return 0;
}

struct function { size_t shared, constant, local; int threads, registers, ptx_version, binary_version, cache, dynamic; };

int cudaFuncGetAttributes(struct function *found, const void *function) {
    memset(found, 0, sizeof *found);
    found->threads = THREADS;
    found->registers = WARP;
    found->ptx_version = found->binary_version = 90;
    found->dynamic = SHARED_MEMORY;
    return 0;
}

int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *f, int t, size_t s, unsigned flags) {
    *blocks = 2;
    return 0;
}

int cudaStreamCreate(void **stream) { return new_handle(stream); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return new_handle(stream); }
int cudaStreamIsCapturing(void *stream, int *is_capturing) { *is_capturing = 0; return 0; }
int cudaEventCreate(void **event) { return new_handle(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return new_handle(event); }
int cudaMemPoolCreate(void **pool, const void *properties) { return new_handle(pool); }
int cublasCreate_v2(void **handle) { return new_handle(handle); }
int cublasLtCreate(void **handle) { return new_handle(handle); }

void **__cudaRegisterFatBinary(void *code) { static void *handle; return &handle; }
const char *cudaGetErrorString(int error) { return "the stand-in's"; }
const char *cudaGetErrorName(int error) { return "the stand-in's"; }
const char *cublasGetStatusName(int status) { return "the stand-in's"; }
const char *cublasGetStatusString(int status) { return "the stand-in's"; }
