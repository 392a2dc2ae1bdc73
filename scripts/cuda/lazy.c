/* CUDA's libraries, opened at the first call instead of at the start of the program: one binary starts with a card,
 * and without one. entry.S calls this with the name of a function and the number of its library. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

/* What a function that is not there returns: a status of its own library, for Rust reads it as an enum. */
static int no_device(void) { return 100; }   /* CUDA_ERROR_NO_DEVICE */
static int no_function(void) { return 500; } /* CUDA_ERROR_NOT_FOUND */
static int no_blas(void) { return 1; }       /* CUBLAS_STATUS_NOT_INITIALIZED */
static int no_random(void) { return 101; }   /* CURAND_STATUS_NOT_INITIALIZED */
static int no_compiler(void) { return 11; }  /* NVRTC_ERROR_INTERNAL_ERROR */
static const char *no_text(void) { return "the library is missing"; }

static struct library {
    const char *name;
    int (*missing)(void);
    void *handle;
} libraries[] = {
    /* in the order of build-cuda.sh */
    {"libcuda.so.1", no_device, 0},
    {"libcublas.so." TEXT(CUDA_MAJOR), no_blas, 0},
    {"libcublasLt.so." TEXT(CUDA_MAJOR), no_blas, 0},
    {"libcurand.so.10", no_random, 0},
    {"libnvrtc.so." TEXT(CUDA_MAJOR), no_compiler, 0},
};

/* After the loader's own places (LD_LIBRARY_PATH, ld.so.cache). */
static const char *const places[] = {"", "/usr/local/cuda/lib64/", "/usr/local/cuda-" TEXT(CUDA_MAJOR) "/lib64/"};

static void trace(const char *what, const char *name) {
    if (getenv("SWEEP_CUDA_TRACE")) fprintf(stderr, "cuda: %s %s\n", what, name);
}

static void *open_library(struct library *library) {
    void *handle = __atomic_load_n(&library->handle, __ATOMIC_ACQUIRE);
    if (handle) return handle;
    for (size_t place = 0; !handle && place < sizeof places / sizeof *places; place++) {
        char path[256];
        snprintf(path, sizeof path, "%s%s", places[place], library->name);
        handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    if (handle) {
        trace("opened", library->name);
        __atomic_store_n(&library->handle, handle, __ATOMIC_RELEASE);
    } else if (library == libraries) {
        trace("no driver:", library->name);
    } else if (libraries[0].handle) {
        /* the driver is there, so a card was wanted */
        fprintf(stderr, "cuda: cannot open %s; name the folder of CUDA " TEXT(CUDA_MAJOR) "'s libraries in LD_LIBRARY_PATH\n",
                library->name);
    }
    return handle;
}

__attribute__((visibility("hidden"))) void *lazy_cuda_resolve(const char *function, long number) {
    struct library *library = &libraries[number];
    void *handle = open_library(library);
    void *found = handle ? dlsym(handle, function) : 0;
    if (found) return found;
    trace("no function", function);
    /* the driver's functions give their texts through pointers, the others return them */
    if (number > 0 && (strstr(function, "String") || strstr(function, "StatusName"))) return (void *)no_text;
    /* a driver older than the toolkit */
    if (number == 0 && handle) return (void *)no_function;
    return (void *)library->missing;
}
