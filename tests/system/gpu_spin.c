/* SPDX-License-Identifier: BSD-3-Clause */
/* gpu_spin SECONDS: keeps the first GPU that it sees busy, by the driver's own library (loaded while
 * running, so that this builds anywhere), and prints "GPUS MODEL SECONDS". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* CUDA driver API: handles are pointers, devices numbers; 0 is success. */
static int (*init)(unsigned);
static int (*count_of)(int *);
static int (*device_at)(int *, int);
static int (*name_of)(char *, int, int);
static int (*make_context)(void **, unsigned, int);
static int (*load_module)(void **, const char *);
static int (*function_in)(void **, void *, const char *);
static int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                     void *, void **, void **);
static int (*wait_for_all)(void);

static const char *const kSpin =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry spin(.param .u32 rounds)\n{\n"
    ".reg .pred %p<2>;\n.reg .u32 %r<3>;\n.reg .f32 %f<2>;\n"
    "ld.param.u32 %r1, [rounds];\nmov.u32 %r2, 0;\nmov.f32 %f1, 0f3F800001;\n"
    "again:\nfma.rn.f32 %f1, %f1, %f1, %f1;\nadd.u32 %r2, %r2, 1;\n"
    "setp.lt.u32 %p1, %r2, %r1;\n@%p1 bra again;\nret;\n}\n";

static void *library;

static void find(void *function, const char *name) {
    *(void **)function = dlsym(library, name);
    if (*(void **)function != NULL) return;
    fprintf(stderr, "libcuda.so.1 has no %s\n", name);
    exit(3);
}

static void must(int answer, const char *what) {
    if (answer == 0) return;
    fprintf(stderr, "%s: CUDA error %d\n", what, answer);
    exit(4);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    char model[100] = "";
    int count = 0, device = 0;
    unsigned rounds = 1u << 20;
    void *context, *module, *function;
    void *parameters[] = {&rounds};
    library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    find(&init, "cuInit");
    find(&count_of, "cuDeviceGetCount");
    find(&device_at, "cuDeviceGet");
    find(&name_of, "cuDeviceGetName");
    find(&make_context, "cuCtxCreate_v2");
    find(&load_module, "cuModuleLoadData");
    find(&function_in, "cuModuleGetFunction");
    find(&launch, "cuLaunchKernel");
    find(&wait_for_all, "cuCtxSynchronize");
    must(init(0), "cuInit");
    must(count_of(&count), "cuDeviceGetCount");
    must(device_at(&device, 0), "cuDeviceGet");
    must(name_of(model, sizeof model, device), "cuDeviceGetName");
    must(make_context(&context, 0, device), "cuCtxCreate");
    must(load_module(&module, kSpin), "cuModuleLoadData");
    must(function_in(&function, module, "spin"), "cuModuleGetFunction");
    const double began_s = now_s();
    while (now_s() - began_s < seconds) {
        must(launch(function, 4096, 1, 1, 256, 1, 1, 0, NULL, parameters, NULL), "cuLaunchKernel");
        must(wait_for_all(), "cuCtxSynchronize");
    }
    printf("%d %s %.2f\n", count, model, now_s() - began_s);
    return 0;
}
