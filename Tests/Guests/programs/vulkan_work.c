// Work for a Vulkan driver whose results are known: `vulkan_work [ROUNDS [MIB]]` prints the device, then "ok" and the
// microseconds of a round, or says what differs. Each round computes in memory that program and device both see, fills it,
// copies it to the device's own memory and back, and clears an image. "hold" in the place of ROUNDS stays until it is ended.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

// layout(local_size_x = 64) in;
// layout(std430, binding = 0) buffer Words { uint words[]; };
// void main() { words[gl_GlobalInvocationID.x] = words[gl_GlobalInvocationID.x] * 3u + gl_GlobalInvocationID.x; }
static const uint32_t shader[] = {
    0x07230203, 0x00010000, 0x0008000b, 0x00000022, 0x00000000, 0x00020011, 0x00000001, 0x0006000b,
    0x00000001, 0x4c534c47, 0x6474732e, 0x3035342e, 0x00000000, 0x0003000e, 0x00000000, 0x00000001,
    0x0006000f, 0x00000005, 0x00000004, 0x6e69616d, 0x00000000, 0x0000000f, 0x00060010, 0x00000004,
    0x00000011, 0x00000040, 0x00000001, 0x00000001, 0x00040047, 0x00000007, 0x00000006, 0x00000004,
    0x00050048, 0x00000008, 0x00000000, 0x00000023, 0x00000000, 0x00030047, 0x00000008, 0x00000003,
    0x00040047, 0x0000000a, 0x00000022, 0x00000000, 0x00040047, 0x0000000a, 0x00000021, 0x00000000,
    0x00040047, 0x0000000f, 0x0000000b, 0x0000001c, 0x00040047, 0x00000021, 0x0000000b, 0x00000019,
    0x00020013, 0x00000002, 0x00030021, 0x00000003, 0x00000002, 0x00040015, 0x00000006, 0x00000020,
    0x00000000, 0x0003001d, 0x00000007, 0x00000006, 0x0003001e, 0x00000008, 0x00000007, 0x00040020,
    0x00000009, 0x00000002, 0x00000008, 0x0004003b, 0x00000009, 0x0000000a, 0x00000002, 0x00040015,
    0x0000000b, 0x00000020, 0x00000001, 0x0004002b, 0x0000000b, 0x0000000c, 0x00000000, 0x00040017,
    0x0000000d, 0x00000006, 0x00000003, 0x00040020, 0x0000000e, 0x00000001, 0x0000000d, 0x0004003b,
    0x0000000e, 0x0000000f, 0x00000001, 0x0004002b, 0x00000006, 0x00000010, 0x00000000, 0x00040020,
    0x00000011, 0x00000001, 0x00000006, 0x00040020, 0x00000016, 0x00000002, 0x00000006, 0x0004002b,
    0x00000006, 0x00000019, 0x00000003, 0x0004002b, 0x00000006, 0x0000001f, 0x00000040, 0x0004002b,
    0x00000006, 0x00000020, 0x00000001, 0x0006002c, 0x0000000d, 0x00000021, 0x0000001f, 0x00000020,
    0x00000020, 0x00050036, 0x00000002, 0x00000004, 0x00000000, 0x00000003, 0x000200f8, 0x00000005,
    0x00050041, 0x00000011, 0x00000012, 0x0000000f, 0x00000010, 0x0004003d, 0x00000006, 0x00000013,
    0x00000012, 0x00050041, 0x00000011, 0x00000014, 0x0000000f, 0x00000010, 0x0004003d, 0x00000006,
    0x00000015, 0x00000014, 0x00060041, 0x00000016, 0x00000017, 0x0000000a, 0x0000000c, 0x00000015,
    0x0004003d, 0x00000006, 0x00000018, 0x00000017, 0x00050084, 0x00000006, 0x0000001a, 0x00000018,
    0x00000019, 0x00050041, 0x00000011, 0x0000001b, 0x0000000f, 0x00000010, 0x0004003d, 0x00000006,
    0x0000001c, 0x0000001b, 0x00050080, 0x00000006, 0x0000001d, 0x0000001a, 0x0000001c, 0x00060041,
    0x00000016, 0x0000001e, 0x0000000a, 0x0000000c, 0x00000013, 0x0003003e, 0x0000001e, 0x0000001d,
    0x000100fd, 0x00010038,
};

enum { SIDE = 64, IMAGE_BYTES = SIDE * SIDE * 4 };

static VkPhysicalDevice physical;
static VkDevice device;
static VkQueue queue;
static VkCommandBuffer commands;
static VkFence fence;
static VkPhysicalDeviceMemoryProperties memories;

static void check(VkResult result, const char *what) {
  if (result == VK_SUCCESS) return;
  printf("error %s: %d\n", what, result);
  exit(1);
}

static void differs(const char *what, size_t index, uint32_t found, uint32_t expected) {
  printf("error %s: word %zu is 0x%x, not 0x%x\n", what, index, found, expected);
  exit(1);
}

static VkDeviceMemory allocate(VkMemoryRequirements needs, VkMemoryPropertyFlags wanted) {
  for (uint32_t type = 0; type < memories.memoryTypeCount; type++) {
    if (!(needs.memoryTypeBits >> type & 1)) continue;
    if ((memories.memoryTypes[type].propertyFlags & wanted) != wanted) continue;
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    VkDeviceMemory memory;
    check(vkAllocateMemory(device, &info, NULL, &memory), "vkAllocateMemory");
    return memory;
  }
  printf("error no memory of kind 0x%x\n", wanted);
  exit(1);
}

static VkBuffer make_buffer(VkDeviceSize size, VkMemoryPropertyFlags wanted, VkDeviceMemory *memory) {
  VkBufferCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = size,
      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkBuffer buffer;
  VkMemoryRequirements needs;
  check(vkCreateBuffer(device, &info, NULL, &buffer), "vkCreateBuffer");
  vkGetBufferMemoryRequirements(device, buffer, &needs);
  *memory = allocate(needs, wanted);
  check(vkBindBufferMemory(device, buffer, *memory, 0), "vkBindBufferMemory");
  return buffer;
}

static void open_device(void) {
  VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
  VkInstanceCreateInfo instance_info = {
      .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
  VkInstance instance;
  uint32_t count = 1;
  check(vkCreateInstance(&instance_info, NULL, &instance), "vkCreateInstance");
  VkResult result = vkEnumeratePhysicalDevices(instance, &count, &physical);
  if (count == 0) result = VK_ERROR_INITIALIZATION_FAILED;
  check(result == VK_INCOMPLETE ? VK_SUCCESS : result, "vkEnumeratePhysicalDevices");
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(physical, &properties);
  vkGetPhysicalDeviceMemoryProperties(physical, &memories);
  printf("device %s\n", properties.deviceName);
  float priority = 1;
  VkDeviceQueueCreateInfo queue_info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
  VkDeviceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue_info};
  check(vkCreateDevice(physical, &info, NULL, &device), "vkCreateDevice");
  vkGetDeviceQueue(device, 0, 0, &queue);
  VkCommandPoolCreateInfo pool_info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT};
  VkCommandPool pool;
  check(vkCreateCommandPool(device, &pool_info, NULL, &pool), "vkCreateCommandPool");
  VkCommandBufferAllocateInfo buffer_info = {
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool, .commandBufferCount = 1};
  check(vkAllocateCommandBuffers(device, &buffer_info, &commands), "vkAllocateCommandBuffers");
  VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  check(vkCreateFence(device, &fence_info, NULL, &fence), "vkCreateFence");
}

static void begin(void) {
  VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  check(vkBeginCommandBuffer(commands, &info), "vkBeginCommandBuffer");
}

static void run(void) {
  VkMemoryBarrier barrier = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
  vkCmdPipelineBarrier(
      commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
  check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
  VkSubmitInfo info = {
      .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
  check(vkQueueSubmit(queue, 1, &info, fence), "vkQueueSubmit");
  check(vkWaitForFences(device, 1, &fence, VK_TRUE, 60000000000ull), "vkWaitForFences");
  check(vkResetFences(device, 1, &fence), "vkResetFences");
}

static VkPipelineLayout layout;
static VkPipeline pipeline;
static VkDescriptorSet set;

static void make_pipeline(VkBuffer buffer) {
  VkDescriptorSetLayoutBinding binding = {
      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1,
      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
  VkDescriptorSetLayoutCreateInfo set_info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 1, .pBindings = &binding};
  VkDescriptorSetLayout set_layout;
  check(vkCreateDescriptorSetLayout(device, &set_info, NULL, &set_layout), "vkCreateDescriptorSetLayout");
  VkPipelineLayoutCreateInfo layout_info = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &set_layout};
  check(vkCreatePipelineLayout(device, &layout_info, NULL, &layout), "vkCreatePipelineLayout");
  VkShaderModuleCreateInfo module_info = {
      .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = sizeof shader, .pCode = shader};
  VkShaderModule module;
  check(vkCreateShaderModule(device, &module_info, NULL, &module), "vkCreateShaderModule");
  VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO, .layout = layout,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module, .pName = "main"}};
  check(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline), "vkCreateComputePipelines");
  VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1};
  VkDescriptorPoolCreateInfo pool_info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
  VkDescriptorPool pool;
  check(vkCreateDescriptorPool(device, &pool_info, NULL, &pool), "vkCreateDescriptorPool");
  VkDescriptorSetAllocateInfo allocate_info = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorPool = pool, .descriptorSetCount = 1,
      .pSetLayouts = &set_layout};
  check(vkAllocateDescriptorSets(device, &allocate_info, &set), "vkAllocateDescriptorSets");
  VkDescriptorBufferInfo buffer_info = {.buffer = buffer, .range = VK_WHOLE_SIZE};
  VkWriteDescriptorSet write = {
      .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = set, .descriptorCount = 1,
      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &buffer_info};
  vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
}

static void compute(uint32_t *words, size_t count, uint32_t seed) {
  for (size_t index = 0; index < count; index++) words[index] = (uint32_t)index * seed;
  begin();
  vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
  vkCmdDispatch(commands, (uint32_t)(count / 64), 1, 1);
  run();
  for (size_t index = 0; index < count; index++) {
    uint32_t expected = (uint32_t)index * seed * 3 + (uint32_t)index;
    if (words[index] != expected) differs("compute", index, words[index], expected);
  }
}

// Copies to the device's own memory, fills the rest there, and copies back in the other order.
static void copy(VkBuffer shared, VkBuffer own, uint32_t *words, size_t count, uint32_t seed) {
  VkDeviceSize half = count * 2;
  for (size_t index = 0; index < count; index++) words[index] = (uint32_t)index ^ seed;
  begin();
  VkBufferCopy there = {.size = half};
  VkMemoryBarrier barrier = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
  VkBufferCopy back[] = {{.dstOffset = half, .size = half}, {.srcOffset = half, .size = half}};
  vkCmdCopyBuffer(commands, shared, own, 1, &there);
  vkCmdFillBuffer(commands, own, half, half, seed);
  vkCmdPipelineBarrier(
      commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
  vkCmdCopyBuffer(commands, own, shared, 2, back);
  run();
  for (size_t index = 0; index < count; index++) {
    uint32_t expected = index < count / 2 ? seed : (uint32_t)(index - count / 2) ^ seed;
    if (words[index] != expected) differs("copy", index, words[index], expected);
  }
}

static void clear(VkImage image, VkBuffer shared, uint32_t *words, uint32_t seed) {
  VkClearColorValue colour = {.uint32 = {seed & 0xff, 0x22, 0x33, 0x44}};
  VkImageSubresourceRange range = {.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .levelCount = 1, .layerCount = 1};
  VkImageMemoryBarrier barrier = {
      .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER, .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
      .oldLayout = VK_IMAGE_LAYOUT_UNDEFINED, .newLayout = VK_IMAGE_LAYOUT_GENERAL,
      .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED, .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED, .image = image,
      .subresourceRange = range};
  VkBufferImageCopy region = {
      .imageSubresource = {.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT, .layerCount = 1}, .imageExtent = {SIDE, SIDE, 1}};
  begin();
  vkCmdPipelineBarrier(
      commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
  vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &colour, 1, &range);
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT;
  barrier.oldLayout = VK_IMAGE_LAYOUT_GENERAL;
  vkCmdPipelineBarrier(
      commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
  vkCmdCopyImageToBuffer(commands, image, VK_IMAGE_LAYOUT_GENERAL, shared, 1, &region);
  run();
  for (size_t index = 0; index < SIDE * SIDE; index++) {
    uint32_t expected = 0x44332200 | (seed & 0xff);
    if (words[index] != expected) differs("clear", index, words[index], expected);
  }
}

static VkImage make_image(void) {
  VkImageCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO, .imageType = VK_IMAGE_TYPE_2D, .format = VK_FORMAT_R8G8B8A8_UINT,
      .extent = {SIDE, SIDE, 1}, .mipLevels = 1, .arrayLayers = 1, .samples = VK_SAMPLE_COUNT_1_BIT,
      .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT};
  VkImage image;
  VkMemoryRequirements needs;
  check(vkCreateImage(device, &info, NULL, &image), "vkCreateImage");
  vkGetImageMemoryRequirements(device, image, &needs);
  check(vkBindImageMemory(device, image, allocate(needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT), 0), "vkBindImageMemory");
  return image;
}

int main(int argc, char **argv) {
  int hold = argc > 1 && strcmp(argv[1], "hold") == 0;
  int rounds = argc > 1 && !hold ? atoi(argv[1]) : 1;
  VkDeviceSize size = (VkDeviceSize)(argc > 2 ? atoi(argv[2]) : 1) << 20;
  if (size < IMAGE_BYTES) size = IMAGE_BYTES;
  setvbuf(stdout, NULL, _IOLBF, 0);
  open_device();
  VkDeviceMemory shared_memory, own_memory;
  VkBuffer shared =
      make_buffer(size, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, &shared_memory);
  VkBuffer own = make_buffer(size, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, &own_memory);
  VkImage image = make_image();
  void *words;
  check(vkMapMemory(device, shared_memory, 0, VK_WHOLE_SIZE, 0, &words), "vkMapMemory");
  make_pipeline(shared);
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int round = 1; round <= rounds; round++) {
    compute(words, size / 4, (uint32_t)round * 7);
    copy(shared, own, words, size / 4, (uint32_t)round * 0x01010101u);
    clear(image, shared, words, (uint32_t)round);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
  printf("ok %.0f\n", seconds * 1e6 / rounds);
  if (hold) {
    for (uint32_t round = 2;; round++) {
      compute(words, size / 4, round);
      usleep(20000);
    }
  }
  return 0;
}
