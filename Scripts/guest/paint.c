// paint: draws known pixels through the kernel's mode setting, for tests that compare pictures.
//
// The picture of a seed s, at column x and row y, is the colour
//     red = x mod 256,  green = y mod 256,  blue = (16 * (x / 256) + y / 256 + 37 * s) mod 256
// so that every pixel names its own place, and every seed another picture.
//
// Commands come as lines on standard input; each is answered by a line "ok ..." or "error ...":
//     connectors                 number of connectors
//     memory WHOSE [EXTRA OFFSET]
//                                what the next buffers are made of: "dumb" (the kernel's choice, as at first), or blobs in
//                                memory of the "guest", the "host" or a "vulkan" context, whose rows are EXTRA bytes longer
//                                than their pixels, the first one beginning at byte OFFSET
//     use N [WIDTH HEIGHT]       takes connector N (0 is the first), at its preferred mode or the named one;
//                                those taken before keep showing their pictures
//     fill SEED                  paints the whole picture and marks it dirty
//     rect X Y W H RRGGBB        paints one rectangle in one colour and marks only that dirty
//     flip SEED COUNT            COUNT page flips between two buffers, the last one showing SEED
//     cursor X Y                 a 64 x 64 cursor (see cursorColour) with its top left corner there
//     cursor off
//     quit

#include <libdrm/drm.h>
#include <libdrm/virtgpu_drm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// What the headers of the building machine's libdrm may be too old for (drm/virtgpu_drm.h of Linux 5.16).
struct create_blob {
    uint32_t blob_mem, blob_flags, bo_handle, res_handle;
    uint64_t size;
    uint32_t pad, cmd_size;
    uint64_t cmd, blob_id;
};
#define CREATE_BLOB DRM_IOWR(DRM_COMMAND_BASE + 0x0a, struct create_blob)
struct context_parameter {
    uint64_t name, value;
};
struct init_context {
    uint32_t count, pad;
    uint64_t parameters;
};
#define INIT_CONTEXT DRM_IOWR(DRM_COMMAND_BASE + 0x0b, struct init_context)
enum { CAPSET_ID = 1, CAPSET_VENUS = 4 };
enum { BLOB_GUEST = 1, BLOB_HOST3D = 2, BLOB_MAPPABLE = 1, BLOB_SHAREABLE = 2 };

struct buffer {
    uint32_t handle, framebuffer, width, height, pitch, offset;
    uint8_t *pixels;
    void *mapping;
    size_t size;
};

// A connector with what it shows; those that are not in use keep showing their pictures.
struct screen {
    uint32_t connector, crtc;
    struct drm_mode_modeinfo mode;
    struct buffer buffers[2];
    int shown;
};

static int card;
static struct screen screens[16], *screen = &screens[0];
static struct buffer cursor;

// What "memory" said: BLOB_GUEST or BLOB_HOST3D; 0 for dumb buffers.
static uint32_t blobMemory, extraPitch, firstOffset;
// Whether blobs are made in a context of Vulkan, whose renderer gives them for its own use only.
static int isVulkan;

static const char *failed(const char *what) {
    static char text[128];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    return text;
}

static int request(unsigned long code, void *argument) {
    int result;
    do result = ioctl(card, code, argument);
    while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result;
}

static uint32_t colour(uint32_t x, uint32_t y, uint32_t seed) {
    uint32_t blue = (16 * (x / 256) + y / 256 + 37 * seed) & 255;
    return (x & 255) << 16 | (y & 255) << 8 | blue;
}

// Opaque in its left half, half transparent white (premultiplied) in the right, with a clear 8-pixel frame.
static uint32_t cursorColour(uint32_t x, uint32_t y) {
    if (x < 8 || y < 8 || x >= 56 || y >= 56) return 0;
    return x < 32 ? 0xffff00ff : 0x80808080;
}

static const char *mapBuffer(struct buffer *buffer, uint64_t offset) {
    buffer->mapping = mmap(NULL, buffer->size, PROT_READ | PROT_WRITE, MAP_SHARED, card, offset);
    if (buffer->mapping == MAP_FAILED) return failed("mmap");
    buffer->pixels = (uint8_t *)buffer->mapping + buffer->offset;
    return NULL;
}

// A blob, whole pages long, that is seen by this program and can be scanned out.
static const char *createBlob(struct buffer *buffer, uint32_t width, uint32_t height) {
    uint32_t pitch = width * 4 + extraPitch;
    uint64_t size = ((uint64_t)pitch * height + firstOffset + 4095) & ~4095ull;
    struct create_blob create = {
        .blob_mem = blobMemory, .size = size, .blob_flags = BLOB_MAPPABLE | (isVulkan ? 0 : BLOB_SHAREABLE)};
    if (request(CREATE_BLOB, &create)) return failed("create blob");
    struct drm_virtgpu_map map = {.handle = create.bo_handle};
    if (request(DRM_IOCTL_VIRTGPU_MAP, &map)) return failed("map blob");
    *buffer = (struct buffer){
        .handle = create.bo_handle, .width = width, .height = height, .pitch = pitch, .offset = firstOffset, .size = size};
    return mapBuffer(buffer, map.offset);
}

static const char *createDumb(struct buffer *buffer, uint32_t width, uint32_t height) {
    struct drm_mode_create_dumb create = {.width = width, .height = height, .bpp = 32};
    if (request(DRM_IOCTL_MODE_CREATE_DUMB, &create)) return failed("create dumb buffer");
    struct drm_mode_map_dumb map = {.handle = create.handle};
    if (request(DRM_IOCTL_MODE_MAP_DUMB, &map)) return failed("map dumb buffer");
    *buffer = (struct buffer){
        .handle = create.handle, .width = width, .height = height, .pitch = create.pitch, .size = create.size};
    return mapBuffer(buffer, map.offset);
}

static const char *createBuffer(struct buffer *buffer, uint32_t width, uint32_t height) {
    return blobMemory ? createBlob(buffer, width, height) : createDumb(buffer, width, height);
}

static const char *createFramebuffer(struct buffer *buffer) {
    struct drm_mode_fb_cmd2 command = {
        .width = buffer->width,
        .height = buffer->height,
        .pixel_format = 'X' | 'R' << 8 | '2' << 16 | '4' << 24,
        .handles = {buffer->handle},
        .pitches = {buffer->pitch},
        .offsets = {buffer->offset},
    };
    if (request(DRM_IOCTL_MODE_ADDFB2, &command)) return failed("add framebuffer");
    buffer->framebuffer = command.fb_id;
    return NULL;
}

static void destroyBuffer(struct buffer *buffer) {
    if (!buffer->handle) return;
    if (buffer->framebuffer) request(DRM_IOCTL_MODE_RMFB, &buffer->framebuffer);
    munmap(buffer->mapping, buffer->size);
    struct drm_gem_close close = {.handle = buffer->handle};
    request(DRM_IOCTL_GEM_CLOSE, &close);
    *buffer = (struct buffer){0};
}

static void paintRectangle(struct buffer *buffer, uint32_t x0, uint32_t y0, uint32_t width, uint32_t height,
                           int64_t single, uint32_t seed) {
    for (uint32_t y = y0; y < y0 + height; y++) {
        uint32_t *row = (uint32_t *)(buffer->pixels + (size_t)y * buffer->pitch);
        for (uint32_t x = x0; x < x0 + width; x++) row[x] = single >= 0 ? (uint32_t)single : colour(x, y, seed);
    }
}

static const char *getResources(struct drm_mode_card_res *resources, uint32_t connectors[16], uint32_t crtcs[16]) {
    *resources = (struct drm_mode_card_res){
        .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16,
        .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 16};
    return request(DRM_IOCTL_MODE_GETRESOURCES, resources) ? failed("get resources") : NULL;
}

// The preferred mode of the connector, or the one of the wanted size.
static const char *chooseMode(uint32_t width, uint32_t height) {
    struct drm_mode_get_connector query = {.connector_id = screen->connector};
    if (request(DRM_IOCTL_MODE_GETCONNECTOR, &query)) return failed("get connector");
    if (query.connection != 1) return "not connected";
    struct drm_mode_modeinfo *modes = calloc(query.count_modes + 1, sizeof *modes);
    struct drm_mode_get_connector fetch = {
        .connector_id = screen->connector, .modes_ptr = (uintptr_t)modes, .count_modes = query.count_modes};
    const char *problem = request(DRM_IOCTL_MODE_GETCONNECTOR, &fetch) ? failed("get modes") : "no such mode";
    for (uint32_t i = 0; i < query.count_modes; i++) {
        int fits = width ? modes[i].hdisplay == width && modes[i].vdisplay == height
                         : modes[i].type & DRM_MODE_TYPE_PREFERRED;
        if (!fits) continue;
        screen->mode = modes[i];
        problem = NULL;
        break;
    }
    free(modes);
    return problem;
}

static const char *show(int which) {
    struct drm_mode_crtc set = {
        .crtc_id = screen->crtc, .fb_id = screen->buffers[which].framebuffer,
        .set_connectors_ptr = (uintptr_t)&screen->connector,
        .count_connectors = 1, .mode_valid = 1, .mode = screen->mode};
    if (request(DRM_IOCTL_MODE_SETCRTC, &set)) return failed("set crtc");
    screen->shown = which;
    return NULL;
}

static const char *use(uint32_t number, uint32_t width, uint32_t height) {
    struct drm_mode_card_res resources;
    uint32_t connectors[16], crtcs[16];
    const char *problem = getResources(&resources, connectors, crtcs);
    if (problem) return problem;
    if (number >= resources.count_connectors || number >= resources.count_crtcs) return "no such connector";
    screen = &screens[number];
    screen->connector = connectors[number];
    screen->crtc = crtcs[number];
    if ((problem = chooseMode(width, height))) return problem;
    for (int i = 0; i < 2; i++) {
        destroyBuffer(&screen->buffers[i]);
        if ((problem = createBuffer(&screen->buffers[i], screen->mode.hdisplay, screen->mode.vdisplay))) return problem;
        if ((problem = createFramebuffer(&screen->buffers[i]))) return problem;
    }
    return show(0);
}

static const char *markDirty(uint32_t x, uint32_t y, uint32_t width, uint32_t height) {
    struct drm_clip_rect clip = {.x1 = x, .y1 = y, .x2 = x + width, .y2 = y + height};
    struct drm_mode_fb_dirty_cmd dirty = {
        .fb_id = screen->buffers[screen->shown].framebuffer, .num_clips = 1, .clips_ptr = (uintptr_t)&clip};
    return request(DRM_IOCTL_MODE_DIRTYFB, &dirty) ? failed("mark dirty") : NULL;
}

static const char *fill(uint32_t seed) {
    paintRectangle(&screen->buffers[screen->shown], 0, 0, screen->mode.hdisplay, screen->mode.vdisplay, -1, seed);
    return markDirty(0, 0, screen->mode.hdisplay, screen->mode.vdisplay);
}

static const char *rectangle(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t single) {
    if (x + width > screen->mode.hdisplay || y + height > screen->mode.vdisplay) return "outside of the picture";
    paintRectangle(&screen->buffers[screen->shown], x, y, width, height, single, 0);
    return markDirty(x, y, width, height);
}

static const char *flip(uint32_t seed, uint32_t count) {
    for (uint32_t left = count; left > 0; left--) {
        int next = !screen->shown;
        paintRectangle(&screen->buffers[next], 0, 0, screen->mode.hdisplay, screen->mode.vdisplay, -1, seed + left - 1);
        struct drm_mode_crtc_page_flip command = {
            .crtc_id = screen->crtc, .fb_id = screen->buffers[next].framebuffer, .flags = DRM_MODE_PAGE_FLIP_EVENT};
        if (request(DRM_IOCTL_MODE_PAGE_FLIP, &command)) return failed("page flip");
        uint8_t event[1024];
        if (read(card, event, sizeof event) < 0) return failed("read the flip's event");
        screen->shown = next;
    }
    return NULL;
}

static const char *moveCursor(int32_t x, int32_t y) {
    const char *problem;
    if (!cursor.handle) {
        if ((problem = createDumb(&cursor, 64, 64))) return problem;
        for (uint32_t row = 0; row < 64; row++)
            for (uint32_t column = 0; column < 64; column++)
                ((uint32_t *)(cursor.pixels + row * cursor.pitch))[column] = cursorColour(column, row);
    }
    struct drm_mode_cursor command = {
        .flags = DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE, .crtc_id = screen->crtc, .x = x, .y = y,
        .width = 64, .height = 64, .handle = cursor.handle};
    return request(DRM_IOCTL_MODE_CURSOR, &command) ? failed("cursor") : NULL;
}

static const char *hideCursor(void) {
    struct drm_mode_cursor command = {.flags = DRM_MODE_CURSOR_BO, .crtc_id = screen->crtc};
    return request(DRM_IOCTL_MODE_CURSOR, &command) ? failed("cursor") : NULL;
}

static const char *countConnectors(char *answer, size_t size) {
    struct drm_mode_card_res resources;
    uint32_t connectors[16], crtcs[16];
    const char *problem = getResources(&resources, connectors, crtcs);
    if (!problem) snprintf(answer, size, "%u", resources.count_connectors);
    return problem;
}

static const char *beginVulkan(void) {
    struct context_parameter capset = {.name = CAPSET_ID, .value = CAPSET_VENUS};
    struct init_context init = {.count = 1, .parameters = (uintptr_t)&capset};
    if (request(INIT_CONTEXT, &init)) return failed("init context");
    isVulkan = 1;
    blobMemory = BLOB_HOST3D;
    return NULL;
}

static const char *setMemory(const char *whose, uint32_t extra, uint32_t offset) {
    const char *problem = NULL;
    if (!strcmp(whose, "dumb")) blobMemory = 0;
    else if (!strcmp(whose, "guest")) blobMemory = BLOB_GUEST;
    else if (!strcmp(whose, "host")) blobMemory = BLOB_HOST3D;
    else if (!strcmp(whose, "vulkan")) problem = beginVulkan();
    else return "memory of whom?";
    extraPitch = extra;
    firstOffset = offset;
    return problem;
}

static const char *obey(const char *line, char *answer, size_t size) {
    unsigned a, b, c, d, e;
    char word[16];
    int x, y;
    if (!strncmp(line, "connectors", 10)) return countConnectors(answer, size);
    b = c = 0;
    if (sscanf(line, "memory %15s %u %u", word, &b, &c) >= 1) return setMemory(word, b, c);
    if (sscanf(line, "use %u %u %u", &a, &b, &c) >= 1) {
        const char *problem = use(a, b, c);
        snprintf(answer, size, "%ux%u", screen->mode.hdisplay, screen->mode.vdisplay);
        return problem;
    }
    if (!screen->mode.hdisplay) return "say use first";
    if (sscanf(line, "fill %u", &a) == 1) return fill(a);
    if (sscanf(line, "rect %u %u %u %u %x", &a, &b, &c, &d, &e) == 5) return rectangle(a, b, c, d, e);
    if (sscanf(line, "flip %u %u", &a, &b) == 2) return flip(a, b);
    if (sscanf(line, "cursor %d %d", &x, &y) == 2) return moveCursor(x, y);
    if (!strncmp(line, "cursor off", 10)) return hideCursor();
    return "unknown command";
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *path = "/dev/dri/card0";
    card = open(path, O_RDWR | O_CLOEXEC);
    if (card < 0) {
        printf("error %s\n", failed(path));
        return 1;
    }
    printf("ok paint\n");
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "quit", 4)) break;
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        char answer[64] = "";
        const char *problem = obey(line, answer, sizeof answer);
        clock_gettime(CLOCK_MONOTONIC, &after);
        long took = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
        if (problem) printf("error %s\n", problem);
        else printf("ok %ld ms %s\n", took, answer);
    }
    return 0;
}
