import Buffers
import CVirglRenderer
import GPUDevice
import Platform

/// libvirglrenderer as a card's ``Renderer``.
///
/// The library keeps its state in global variables and its OpenGL contexts in the thread that started it: there is one
/// renderer to a process, and it is used by one thread.
public final class VirglRenderer {
  nonisolated(unsafe) private static var isInUse = false

  let library: muntin_virgl_library
  private let options: VirglOptions
  /// What draws.
  public private(set) var driver = VirglDriver(name: "", extensions: "")
  private let callbacks = UnsafeMutablePointer<virgl_renderer_callbacks>.allocate(capacity: 1)
  /// Fences that the library has yet to finish.
  var fences = FenceTable()
  /// What the library has of guest memory.
  var backings: [ResourceID: UnsafeMutableBufferPointer<iovec>] = [:]
  /// What files the blobs are that contexts have made.
  var blobs: [ResourceID: BlobFile.Kind] = [:]
  private var contextKinds: [VirglContexts] = []
  private var watch: EventLoop.Token?
  /// Where events are waited for; nil until that is known.
  private(set) weak var loop: EventLoop?
  private let note: (String) -> Void
  /// What draws by Vulkan; nil where nothing does.
  private(set) var server: RenderServer?
  /// The processes that it has started.
  public var processes: [Int32] { server.map { [$0.pid] } ?? [] }
  /// The contexts that do.
  var venus: [VenusContext] = []
  var venusTimer: EventLoop.TimerToken?
  private var fenceWatch: FenceWatch?
  private var memory: RenderingMemory?

  /// Loads and starts the library; files, threads and descriptors that it needs are there afterwards.
  ///
  /// - Parameter note: called with what the library prints, line after line.
  public init(_ options: VirglOptions, note: @escaping (String) -> Void = { _ in }) throws(RenderingError) {
    guard !Self.isInUse else { throw .inUse }
    library = try VirglLibrary().functions
    self.options = options
    self.note = note
    VirglMessages.route(to: note)
    callbacks.initialize(to: Self.callbacks)
    try start()
    driver = .current()
    contextKinds = [VirglCapset.virgl, .virgl2, .venus].compactMap { VirglContexts(self, $0) }
    guard !options.venus || contextKinds.contains(where: { $0.capset == VirglCapset.venus.rawValue }) else {
      throw .noVulkan(said: VirglMessages.last)
    }
    Self.isInUse = true
  }

  // The library has no end that can be relied on: who starts it keeps it for as long as the process lives.

  private func start() throws(RenderingError) {
    var flags = VIRGL_RENDERER_USE_EGL | VIRGL_RENDERER_THREAD_SYNC | VIRGL_RENDERER_USE_EXTERNAL_BLOB
    if let node = options.renderNode {
      let code = VirglNode.check(node)
      guard code == 0 else { throw .noNode(node, code: code) }
      VirglNode.path = node
    } else {
      flags |= VIRGL_RENDERER_USE_SURFACELESS
    }
    if !options.openGL { flags |= VIRGL_RENDERER_NO_VIRGL }
    if options.venus {
      server = try RenderServer()
      flags |= VIRGL_RENDERER_VENUS | VIRGL_RENDERER_RENDER_SERVER
    }
    let code = library.`init`(Unmanaged.passUnretained(self).toOpaque(), flags, callbacks)
    guard code == 0 else { throw .notStarted(code: code, said: VirglMessages.last) }
    guard !options.openGL || library.get_poll_fd() >= 0 else { throw .noFences }
  }

  private static let callbacks: virgl_renderer_callbacks = {
    var callbacks = virgl_renderer_callbacks()
    callbacks.version = 3
    callbacks.write_fence = { cookie, number in
      VirglRenderer.of(cookie)?.finished(number)
    }
    callbacks.write_context_fence = { cookie, context, ring, number in
      VirglRenderer.of(cookie)?.finished(number, in: context, ring: ring)
    }
    callbacks.get_drm_fd = { _ in VirglNode.open() }
    callbacks.get_server_fd = { cookie, _ in VirglRenderer.of(cookie)?.server?.takeSocket() ?? -1 }
    return callbacks
  }()

  private static func of(_ cookie: UnsafeMutableRawPointer?) -> VirglRenderer? {
    cookie.map { Unmanaged<VirglRenderer>.fromOpaque($0).takeUnretainedValue() }
  }

  /// What contexts can be made of: the capability sets that the library fills.
  public var kinds: [any ContextKind] { contextKinds }

  // MARK: Fences

  /// Takes note of finished fences on this loop.
  public func attach(to loop: EventLoop) throws(SystemError) {
    self.loop = loop
    try server?.watch(on: loop) { [weak self] end in
      self?.note("the render server has ended (\(end)): there is no more Vulkan until this process starts again")
      self?.venusEnded()
    }
    let descriptor = library.get_poll_fd()
    guard descriptor >= 0 else { return }
    watch = try loop.watch(descriptor, for: .readable) { [library] _ in library.poll() }
  }

  /// Calls `hung` when for so long nothing has been done of what the guest waits for.
  public func expectProgress(
    within limit: Duration, on loop: EventLoop, otherwise hung: @escaping () -> Void
  ) {
    let watch = FenceWatch(limit: limit, loop: loop, hung: hung)
    watch.waitsSince = { [unowned self] in fences.waitsSince }
    fenceWatch = watch
  }

  private func finished(_ number: UInt32) {
    while let fence = fences.removeFirst(through: number) { fence.access.finishFences(through: fence.id) }
  }

  private func finished(_ number: UInt64, in context: UInt32, ring: UInt32) {
    guard let ring = UInt8(exactly: ring) else { return }
    while let fence = fences.removeFirst(of: ContextID(rawValue: context), ring: ring, through: number) {
      fence.access.finishFences(ring: ring, through: fence.id)
    }
  }

  /// A fence behind all that was submitted; whether it is to be waited for.
  func fence(_ id: FenceID, _ access: ContextAccess) -> FenceState {
    let number = fences.nextDeviceNumber()
    guard library.create_fence(Int32(bitPattern: number), access.id.rawValue) == 0 else { return .done }
    fences.append(id, number, access)
    fenceWatch?.began()
    return .pending
  }

  /// A fence behind what was submitted on a context's ring; whether it is to be waited for.
  func fence(_ id: FenceID, ring: UInt8, _ access: ContextAccess) -> FenceState {
    let number = fences.nextRingNumber()
    let isMergeable = UInt32(VIRGL_RENDERER_FENCE_FLAG_MERGEABLE)
    guard library.context_create_fence(access.id.rawValue, isMergeable, UInt32(ring), number) == 0 else { return .done }
    fences.append(id, number, access, ring: ring)
    fenceWatch?.began()
    return .pending
  }

  // MARK: Memory

  /// From now on what the library takes stands in a ledger, and is limited.
  public func charge(_ ledger: Ledger, on loop: EventLoop) throws(SystemError) {
    memory = try RenderingMemory(ledger, loop: loop)
  }

  /// Something has been done that may have taken memory or given it back.
  func noteWork() { memory?.noteWork() }

  func check(_ code: Int32, _ what: String) throws(GPUError) {
    noteWork()
    guard code == 0 else { throw .renderer("\(what) (\(code))") }
  }
}
