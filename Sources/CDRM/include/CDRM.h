// Requests to the kernel's driver virtio_gpu, for programs in guests: drm.h, drm_mode.h and virtgpu_drm.h of Linux 5.16, which
// older systems' headers do not have in full, and whose request codes Swift cannot import. Each function is one request; it
// returns 0, or a negative errno.
#ifndef CDRM_H
#define CDRM_H

#include <stddef.h>
#include <stdint.h>

// VIRTGPU_PARAM_*, VIRTGPU_BLOB_*
enum {
    CDRM_PARAM_3D_FEATURES = 1,
    CDRM_PARAM_RESOURCE_BLOB = 3,
    CDRM_PARAM_HOST_VISIBLE = 4,
    CDRM_PARAM_CONTEXT_INIT = 6,
    CDRM_PARAM_SUPPORTED_CAPSETS = 7,
    CDRM_BLOB_GUEST = 1,
    CDRM_BLOB_HOST3D = 2,
    CDRM_BLOB_MAPPABLE = 1,
    CDRM_BLOB_SHAREABLE = 2,
};

struct cdrm_blob {
    uint32_t memory, flags;
    uint64_t byte_count, id;
    // What the kernel answers: a number of this open file, and the resource's.
    uint32_t handle, resource;
};

// The driver's name, with a zero at its end.
int cdrm_driver_name(int card, char *name, size_t room);
int cdrm_parameter(int card, uint64_t parameter, uint64_t *value);
int cdrm_capset(int card, uint32_t capset, uint32_t version, void *contents, uint32_t byte_count);
// A context with rings; fences on the rings of the mask become events that the open file reads.
int cdrm_context(int card, uint32_t capset, uint64_t ring_count, uint64_t polled_rings);
int cdrm_create_blob(int card, struct cdrm_blob *blob);
// Where mmap finds it.
int cdrm_map_offset(int card, uint32_t handle, uint64_t *offset);
int cdrm_close_handle(int card, uint32_t handle);
// A dma-buf of its memory, for other drivers and programs.
int cdrm_export(int card, uint32_t handle, int *descriptor);
// Commands for the context; with a ring below 64 they end with a fence on it.
int cdrm_submit(int card, const void *commands, uint32_t byte_count, uint32_t ring);
enum { CDRM_NO_RING = 64 };
// The same, with fences by descriptors (sync_file): the commands leave when in_fence has signalled, for which the call
// waits (-1: none); *out_fence signals when they are done, on a ring when the host has something to say there (NULL: none).
int cdrm_submit_fenced(int card, const void *commands, uint32_t byte_count, uint32_t ring, int in_fence, int *out_fence);
// Reads the events that are there and drops them; how many bytes they had. Waits when there is none.
int cdrm_read_events(int card);

// A screen of the card. The driver has one crtc for each connector, in the same order.
struct cdrm_screen {
    uint32_t connector, crtc;
};

struct cdrm_mode {
    uint32_t clock;
    uint16_t width, hsync_start, hsync_end, htotal, hskew;
    uint16_t height, vsync_start, vsync_end, vtotal, vscan;
    uint32_t refresh, flags, type;
    char name[32];
};

struct cdrm_picture {
    uint32_t handle, width, height, format, stride, offset;
};

// These answer how many there are, at most `room`; a connector that is not connected has no modes.
int cdrm_screens(int card, struct cdrm_screen *screens, uint32_t room);
int cdrm_modes(int card, uint32_t connector, struct cdrm_mode *modes, uint32_t room);
int cdrm_add_framebuffer(int card, const struct cdrm_picture *picture, uint32_t *framebuffer);
int cdrm_remove_framebuffer(int card, uint32_t framebuffer);
int cdrm_show(int card, struct cdrm_screen screen, const struct cdrm_mode *mode, uint32_t framebuffer);
int cdrm_mark_dirty(int card, uint32_t framebuffer, uint16_t left, uint16_t top, uint16_t right, uint16_t bottom);

#endif
