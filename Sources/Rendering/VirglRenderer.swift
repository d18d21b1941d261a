import Buffers
import CVirglRenderer
import GPUDevice
import Platform

/// libvirglrenderer as a card's ``Renderer``.
///
/// The library keeps its state in global variables and its OpenGL contexts in the thread that started it: there is one
/// renderer to a process, and it is used by one thread.
public final class VirglRenderer: Renderer {
  nonisolated(unsafe) private static var isInUse = false

  let library: muntin_virgl_library
  private let options: VirglOptions
  /// What draws.
  public private(set) var driver = VirglDriver(name: "", extensions: "")
  private let callbacks = UnsafeMutablePointer<virgl_renderer_callbacks>.allocate(capacity: 1)
  /// Fences that the library has yet to finish.
  var fences = FenceTable()
  private var backings: [ResourceID: UnsafeMutableBufferPointer<iovec>] = [:]
  private var contextKinds: [VirglContexts] = []
  private var watch: EventLoop.Token?

  /// Loads and starts the library; files, threads and descriptors that it needs are there afterwards.
  ///
  /// - Parameter note: called with what the library prints, line after line.
  public init(_ options: VirglOptions, note: @escaping (String) -> Void = { _ in }) throws(RenderingError) {
    guard !Self.isInUse else { throw .inUse }
    library = try VirglLibrary().functions
    self.options = options
    VirglMessages.route(to: note)
    callbacks.initialize(to: Self.callbacks)
    try start()
    driver = .current()
    contextKinds = [VirglCapset.virgl, .virgl2, .venus].compactMap { VirglContexts(self, $0) }
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
    if options.venus { flags |= VIRGL_RENDERER_VENUS | VIRGL_RENDERER_RENDER_SERVER }
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
    let descriptor = library.get_poll_fd()
    guard descriptor >= 0 else { return }
    watch = try loop.watch(descriptor, for: .readable) { [library] _ in library.poll() }
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
    return .pending
  }

  /// A fence behind what was submitted on a context's ring; whether it is to be waited for.
  func fence(_ id: FenceID, ring: UInt8, _ access: ContextAccess) -> FenceState {
    let number = fences.nextRingNumber()
    let isMergeable = UInt32(VIRGL_RENDERER_FENCE_FLAG_MERGEABLE)
    guard library.context_create_fence(access.id.rawValue, isMergeable, UInt32(ring), number) == 0 else { return .done }
    fences.append(id, number, access, ring: ring)
    return .pending
  }

  // MARK: Resources

  public func byteCount(of description: Command.Create3D) -> Int? { VirglFormats.byteCount(of: description) }

  public func create(_ description: Command.Create3D) throws(GPUError) {
    var arguments = virgl_renderer_resource_create_args(
      handle: description.resource.rawValue, target: description.target, format: description.format,
      bind: description.bind, width: description.size.width, height: description.size.height, depth: description.depth,
      array_size: description.arraySize, last_level: description.lastLevel, nr_samples: description.sampleCount,
      flags: description.flags)
    try check(library.resource_create(&arguments, nil, 0), "a resource")
  }

  public func remove(_ id: ResourceID) { library.resource_unref(id.rawValue) }

  public func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError) {
    let vector = UnsafeMutableBufferPointer<iovec>.allocate(capacity: segments.count)
    for (index, segment) in segments.enumerated() {
      vector.initializeElement(at: index, to: iovec(iov_base: segment.baseAddress, iov_len: segment.count))
    }
    let code = library.resource_attach_iov(Int32(bitPattern: id.rawValue), vector.baseAddress, Int32(vector.count))
    guard code == 0 else {
      vector.deallocate()
      throw .renderer("a backing (\(code))")
    }
    backings[id] = vector
  }

  public func detachBacking(of id: ResourceID) {
    library.resource_detach_iov(Int32(bitPattern: id.rawValue), nil, nil)
    backings.removeValue(forKey: id)?.deallocate()
  }

  // MARK: Transfers

  public func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    var box = muntin_virgl_box(transfer)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_write_iov(
        transfer.resource.rawValue, context.rawValue, Int32(bitPattern: transfer.level), transfer.stride,
        transfer.layerStride, OpaquePointer(box), transfer.offset, nil, 0)
    }
    try check(code, "a transfer to the host")
  }

  public func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    var box = muntin_virgl_box(transfer)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_read_iov(
        transfer.resource.rawValue, context.rawValue, transfer.level, transfer.stride, transfer.layerStride,
        OpaquePointer(box), transfer.offset, nil, 0)
    }
    try check(code, "a transfer from the host")
  }

  public func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError) {
    var box = muntin_virgl_box(
      x: rectangle.x, y: rectangle.y, z: 0, width: rectangle.width, height: rectangle.height, depth: 1)
    var vector = iovec(iov_base: target.baseAddress, iov_len: target.count)
    let code = withUnsafeMutablePointer(to: &box) { box in
      library.transfer_read_iov(id.rawValue, 0, 0, UInt32(stride), 0, OpaquePointer(box), 0, &vector, 1)
    }
    try check(code, "reading pixels back")
  }

  func check(_ code: Int32, _ what: String) throws(GPUError) {
    guard code == 0 else { throw .renderer("\(what) (\(code))") }
  }
}

extension muntin_virgl_box {
  fileprivate init(_ transfer: Command.Transfer3D) {
    self.init(
      x: transfer.x, y: transfer.y, z: transfer.z, width: transfer.width, height: transfer.height, depth: transfer.depth)
  }
}
