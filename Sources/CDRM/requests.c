#include "request.h"
#include <CDRM.h>
#include <fcntl.h>
#include <unistd.h>

struct version {
    int major, minor, patch;
    size_t name_length;
    char *name;
    size_t date_length;
    char *date;
    size_t description_length;
    char *description;
};
struct parameter { uint64_t number, value; };
struct capset { uint32_t id, version; uint64_t address; uint32_t byte_count, zero; };
struct context { uint32_t count, zero; uint64_t parameters; };
struct create_blob {
    uint32_t memory, flags, handle, resource;
    uint64_t byte_count;
    uint32_t zero, command_byte_count;
    uint64_t command, id;
};
struct map { uint64_t offset; uint32_t handle, zero; };
struct close { uint32_t handle, zero; };
struct prime { uint32_t handle, flags; int32_t fd; };
struct submission {
    uint32_t flags, byte_count;
    uint64_t commands, handles;
    uint32_t handle_count;
    int32_t fence;
    uint32_t ring, sync_stride, in_syncs, out_syncs;
    uint64_t in_sync_array, out_sync_array;
};

#define DRIVER(number, type) _IOWR('d', 0x40 + (number), struct type)
enum { CONTEXT_CAPSET = 1, CONTEXT_RINGS = 2, CONTEXT_POLLED_RINGS = 3 };
enum { SUBMIT_FENCE_IN = 1, SUBMIT_FENCE_OUT = 2, SUBMIT_RING = 4 };

int cdrm_driver_name(int card, char *name, size_t room) {
    struct version version = {.name = name, .name_length = room - 1};
    int result = request(card, CORE(0x00, version), &version);
    if (result == 0) name[version.name_length < room - 1 ? version.name_length : room - 1] = 0;
    return result;
}

int cdrm_parameter(int card, uint64_t number, uint64_t *value) {
    // The kernel writes through the pointer, and some parameters only as an int.
    uint64_t answer = 0;
    struct parameter parameter = {.number = number, .value = (uintptr_t)&answer};
    int result = request(card, DRIVER(0x03, parameter), &parameter);
    *value = answer;
    return result;
}

int cdrm_capset(int card, uint32_t id, uint32_t version, void *contents, uint32_t byte_count) {
    struct capset capset = {.id = id, .version = version, .address = (uintptr_t)contents, .byte_count = byte_count};
    return request(card, DRIVER(0x09, capset), &capset);
}

int cdrm_context(int card, uint32_t capset, uint64_t ring_count, uint64_t polled_rings) {
    struct parameter parameters[] = {
        {CONTEXT_CAPSET, capset}, {CONTEXT_RINGS, ring_count}, {CONTEXT_POLLED_RINGS, polled_rings}};
    struct context context = {.count = 3, .parameters = (uintptr_t)parameters};
    return request(card, DRIVER(0x0b, context), &context);
}

int cdrm_create_blob(int card, struct cdrm_blob *blob) {
    struct create_blob create = {
        .memory = blob->memory, .flags = blob->flags, .byte_count = blob->byte_count, .id = blob->id};
    int result = request(card, DRIVER(0x0a, create_blob), &create);
    blob->handle = create.handle;
    blob->resource = create.resource;
    return result;
}

int cdrm_map_offset(int card, uint32_t handle, uint64_t *offset) {
    struct map map = {.handle = handle};
    int result = request(card, DRIVER(0x01, map), &map);
    *offset = map.offset;
    return result;
}

int cdrm_close_handle(int card, uint32_t handle) {
    struct close close = {.handle = handle};
    return request(card, _IOW('d', 0x09, struct close), &close);
}

int cdrm_export(int card, uint32_t handle, int *descriptor) {
    struct prime prime = {.handle = handle, .flags = O_CLOEXEC | O_RDWR, .fd = -1};
    int result = request(card, CORE(0x2d, prime), &prime);
    *descriptor = prime.fd;
    return result;
}

int cdrm_submit_fenced(
    int card, const void *commands, uint32_t byte_count, uint32_t ring, int in_fence, int *out_fence) {
    struct submission submission = {
        .byte_count = byte_count, .commands = (uintptr_t)commands, .fence = in_fence,
        .flags = (in_fence >= 0 ? SUBMIT_FENCE_IN : 0) | (out_fence ? SUBMIT_FENCE_OUT : 0)};
    if (ring < CDRM_NO_RING) {
        submission.flags |= SUBMIT_RING;
        submission.ring = ring;
    }
    int result = request(card, DRIVER(0x02, submission), &submission);
    if (out_fence) *out_fence = result < 0 ? -1 : submission.fence;
    return result;
}

int cdrm_submit(int card, const void *commands, uint32_t byte_count, uint32_t ring) {
    return cdrm_submit_fenced(card, commands, byte_count, ring, -1, NULL);
}

int cdrm_read_events(int card) {
    char events[1024];
    ssize_t count;
    do count = read(card, events, sizeof events);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : (int)count;
}
