// libvirglrenderer, loaded when 3D is asked for: with Mesa and LLVM behind it it takes tens of megabytes, which a card
// without 3D does without. And what of it Swift cannot import: a variadic callback.
#ifndef MUNTIN_CVIRGLRENDERER_H
#define MUNTIN_CVIRGLRENDERER_H

#include <sys/uio.h>

// Callbacks of version 3, fences of contexts: declared as unstable in 0.10, stable from 1.0 on, the same in both.
#define VIRGL_RENDERER_UNSTABLE_APIS 1
#include <virgl/virglrenderer.h>

/// A box of pixels: the library's struct virgl_box, which its header only names.
struct muntin_virgl_box {
  uint32_t x, y, z, width, height, depth;
};

/// The functions that are used, under the library's own names without their common beginning.
struct muntin_virgl_library {
  __typeof__(virgl_renderer_init) *init;
  __typeof__(virgl_renderer_poll) *poll;
  __typeof__(virgl_renderer_get_poll_fd) *get_poll_fd;
  __typeof__(virgl_renderer_get_cap_set) *get_cap_set;
  __typeof__(virgl_renderer_fill_caps) *fill_caps;
  __typeof__(virgl_renderer_context_create_with_flags) *context_create_with_flags;
  __typeof__(virgl_renderer_context_destroy) *context_destroy;
  __typeof__(virgl_renderer_ctx_attach_resource) *ctx_attach_resource;
  __typeof__(virgl_renderer_ctx_detach_resource) *ctx_detach_resource;
  __typeof__(virgl_renderer_submit_cmd) *submit_cmd;
  __typeof__(virgl_renderer_create_fence) *create_fence;
  __typeof__(virgl_renderer_context_create_fence) *context_create_fence;
  __typeof__(virgl_renderer_context_get_poll_fd) *context_get_poll_fd;
  __typeof__(virgl_renderer_context_poll) *context_poll;
  __typeof__(virgl_renderer_resource_create) *resource_create;
  __typeof__(virgl_renderer_resource_unref) *resource_unref;
  __typeof__(virgl_renderer_resource_attach_iov) *resource_attach_iov;
  __typeof__(virgl_renderer_resource_detach_iov) *resource_detach_iov;
  __typeof__(virgl_renderer_resource_get_info) *resource_get_info;
  __typeof__(virgl_renderer_resource_create_blob) *resource_create_blob;
  __typeof__(virgl_renderer_resource_export_blob) *resource_export_blob;
  __typeof__(virgl_renderer_resource_get_map_info) *resource_get_map_info;
  __typeof__(virgl_renderer_execute) *execute;
  /// The box is a struct muntin_virgl_box.
  __typeof__(virgl_renderer_transfer_read_iov) *transfer_read_iov;
  __typeof__(virgl_renderer_transfer_write_iov) *transfer_write_iov;
};

/// The library; NULL where it is not installed or lacks a function: muntin_virgl_problem says which. Call it from one
/// thread first.
const struct muntin_virgl_library *muntin_virgl_load(void);
/// Why the last muntin_virgl_load gave NULL.
const char *muntin_virgl_problem(void);
/// The library's file, with its version in its name, where the system knows it; empty before it is loaded.
const char *muntin_virgl_path(void);

/// Receives what the library would print, piece by piece.
typedef void (*muntin_virgl_sink)(const char *text);
/// Routes what the library prints; after muntin_virgl_load.
void muntin_virgl_set_sink(muntin_virgl_sink sink);

/// What draws for this thread's current EGL context; empty where there is none.
const char *muntin_egl_renderer(void);
/// The extensions of this thread's current EGL display; empty where there is none.
const char *muntin_egl_extensions(void);

#endif
