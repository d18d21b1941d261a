import Buffers
import CVirglRenderer
import GPUDevice
import Platform

/// One context of a guest that draws by Vulkan: a process of the render server's has it, and the library speaks with that.
final class VenusContext: GuestContext {
  private unowned let renderer: VirglRenderer
  let access: ContextAccess
  /// Blobs that were made here, and so are attached. The library's own attaching ends the process for what is no dma-buf.
  private var made: Set<ResourceID> = []
  private var watch: EventLoop.Token?
  /// Whether the render server has ended: the library has no such context any more.
  private var isLost = false

  init(_ renderer: VirglRenderer, _ access: ContextAccess) {
    self.renderer = renderer
    self.access = access
    renderer.venus.append(self)
    let descriptor = renderer.library.context_get_poll_fd(access.id.rawValue)
    guard descriptor >= 0, let loop = renderer.loop else { return }
    watch = try? loop.watch(descriptor, for: .readable) { [unowned self] _ in poll() }
  }

  private var number: Int32 { Int32(bitPattern: access.id.rawValue) }

  /// Takes note of finished fences.
  func poll() { renderer.library.context_poll(access.id.rawValue) }

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    try checkLife()
    guard commands.count % 4 == 0 else { throw .invalidCommandSize(UInt32(clamping: commands.count)) }
    let words = UnsafeMutableRawPointer(mutating: commands.baseAddress)
    try renderer.check(renderer.library.submit_cmd(words, number, Int32(commands.count / 4)), "commands")
  }

  func attached(_ resource: ResourceID) {
    guard !isLost, !made.contains(resource), renderer.isImportable(resource) else { return }
    renderer.library.ctx_attach_resource(number, Int32(bitPattern: resource.rawValue))
  }

  func detached(_ resource: ResourceID) {
    made.remove(resource)
    guard !isLost else { return }
    renderer.library.ctx_detach_resource(number, Int32(bitPattern: resource.rawValue))
  }

  /// Vulkan knows no fence but on rings.
  func fence(_ fence: FenceID) -> FenceState { .done }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState {
    guard !isLost else { return .done }
    let state = renderer.fence(fence, ring: ring, access)
    if state == .pending { renderer.watchVenus() }
    return state
  }

  /// Number 0 is memory for the context's own use.
  func rendersBlob(_ number: UInt64) -> Bool { true }

  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob {
    try checkLife()
    let result = try renderer.makeBlob(blob, in: access.id, over: pages)
    made.insert(blob.resource)
    return result
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory { throw .unknownBlob(number) }

  func destroyed() {
    if !isLost { leaveLibrary() }
    renderer.venus.removeAll { $0 === self }
    renderer.fences.removeAll(of: access.id)
    renderer.noteWork()
  }

  private func checkLife() throws(GPUError) {
    guard !isLost else { throw .renderer("Vulkan: the render server has ended") }
  }

  /// The render server has ended. What the guest waits for is done; the context's process, if it lives, ends now, too.
  func lose() {
    isLost = true
    leaveLibrary()
    for (ring, fence) in renderer.fences.removeAll(of: access.id) {
      fence.access.finishFences(ring: ring, through: fence.id)
    }
  }

  private func leaveLibrary() {
    if let watch { renderer.loop?.unwatch(watch) }
    watch = nil
    renderer.library.context_destroy(access.id.rawValue)
  }
}

extension VirglRenderer {
  /// The library says that a fence is done by a descriptor, but says nothing when the process behind a context has died: it
  /// sees that only after having found the same numbers so many times.
  private static let looksUntilDead = 101

  /// Looks after fences of Vulkan once a second, while there are any, so that nobody waits for the dead.
  func watchVenus() {
    guard venusTimer == nil, let loop else { return }
    venusTimer = loop.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      venusTimer = nil
      for context in venus where !fences.isEmpty(of: context.access.id) {
        for _ in 0..<Self.looksUntilDead { context.poll() }
      }
      if venus.contains(where: { !self.fences.isEmpty(of: $0.access.id) }) { watchVenus() }
    }
  }

  /// The render server has ended: there are no more contexts of Vulkan.
  func venusEnded() {
    for context in venus { context.lose() }
  }
}
