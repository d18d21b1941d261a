import Buffers
import GPUDevice
import Geometry

/// A renderer that draws nothing, and minds that it is asked for nothing that the protocol forbids. Contexts of its set owe
/// fences, which are done when ``finishSome()`` says so.
final class NullRenderer: Renderer, ContextKind {
  let capset: UInt32 = 2
  let capsetVersion: UInt32 = 1
  let capsetBytes: [UInt8] = [1, 2, 3, 4]
  let isDefault = true
  let maximumCommandByteCount = 4096

  /// Whether what is asked for is refused, as a library may do at any time.
  var isRefusing = false
  private(set) var contextCount = 0
  private var resources: Set<ResourceID> = []
  private var backings: [ResourceID: [UnsafeMutableRawBufferPointer]] = [:]
  private var fences: [() -> Void] = []
  private var sum: UInt8 = 0

  /// Nothing is left behind.
  var isEmpty: Bool { resources.isEmpty && backings.isEmpty && contextCount == 0 }

  private func check() throws(GPUError) {
    guard !isRefusing else { throw .renderer("refused") }
  }

  // MARK: Resources

  func byteCount(of description: Command.Create3D) -> Int? {
    let (count, overflow) = Int(description.size.width).multipliedReportingOverflow(by: Int(description.size.height))
    return overflow || count > Int.max / 4 ? nil : count * 4
  }

  func create(_ description: Command.Create3D) throws(GPUError) {
    try check()
    precondition(description.resource != .none && resources.insert(description.resource).inserted, "made twice")
  }

  func remove(_ id: ResourceID) {
    precondition(backings[id] == nil, "removed with its backing")
    precondition(resources.remove(id) != nil, "removed what is not there")
  }

  func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError) {
    precondition(resources.contains(id) && backings[id] == nil, "a second backing, or none to have one")
    precondition(!segments.contains { $0.baseAddress == nil && $0.count > 0 })
    try check()
    backings[id] = segments
    touch(id)
  }

  func detachBacking(of id: ResourceID) {
    touch(id)
    precondition(backings.removeValue(forKey: id) != nil, "detached what is not there")
  }

  /// Reads and writes the ends of a backing, as the library may until it is detached.
  private func touch(_ id: ResourceID) {
    for segment in backings[id] ?? [] where !segment.isEmpty {
      sum ^= segment[0] ^ segment[segment.count - 1]
      segment[segment.count - 1] = sum
    }
  }

  func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    try self.transfer(transfer)
  }

  func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    try self.transfer(transfer)
  }

  private func transfer(_ transfer: Command.Transfer3D) throws(GPUError) {
    precondition(resources.contains(transfer.resource), "a transfer of what is not there")
    try check()
    touch(transfer.resource)
  }

  func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError) {
    precondition(resources.contains(id) && !rectangle.isEmpty, "reading what is not there")
    let end = stride * Int(rectangle.height - 1) + 4 * Int(rectangle.width)
    precondition(stride >= 4 * Int(rectangle.width) && end <= target.count, "no room for the pixels")
    try check()
    for row in 0..<Int(rectangle.height) {
      for column in 0..<4 * Int(rectangle.width) { target[row * stride + column] = 0xaa }
    }
  }

  func writePixels(
    of id: ResourceID, _ rectangle: Rectangle, from source: UnsafeRawBufferPointer, stride: Int
  ) throws(GPUError) {
    precondition(resources.contains(id) && !rectangle.isEmpty, "writing what is not there")
    let end = stride * Int(rectangle.height - 1) + 4 * Int(rectangle.width)
    precondition(stride >= 4 * Int(rectangle.width) && end <= source.count, "no such pixels")
    for row in 0..<Int(rectangle.height) { sum ^= source[row * stride] ^ source[row * stride + 3] }
    try check()
  }

  /// A blob; of even numbers there are no descriptors.
  fileprivate func make(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob {
    try check()
    var memory: HostMemory?
    if blob.blob % 2 == 1 {
      memory = try? HostMemory(byteCount: Int(clamping: blob.byteCount))
      if memory == nil { throw .renderer("no memory") }
    }
    precondition(resources.insert(blob.resource).inserted, "made twice")
    if !pages.isEmpty { backings[blob.resource] = pages }
    touch(blob.resource)
    return RenderedBlob(memory: memory, caching: blob.blob % 4 == 1 ? .uncached : .cached)
  }

  // MARK: Contexts

  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext {
    try check()
    contextCount += 1
    return NullContext(self, access)
  }

  fileprivate func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    precondition(!commands.isEmpty && commands.count <= maximumCommandByteCount, "more than was said")
    for byte in commands { sum ^= byte }
    touch(ResourceID(rawValue: UInt32(sum % 8)))
    try check()
  }

  fileprivate func owe(_ finish: @escaping () -> Void) { fences.append(finish) }

  fileprivate func contextEnded() { contextCount -= 1 }

  /// The older half of what is owed is done.
  func finishSome() {
    let done = fences.prefix((fences.count + 1) / 2)
    fences.removeFirst(done.count)
    for finish in done { finish() }
  }
}

private final class NullContext: GuestContext {
  private let renderer: NullRenderer
  private let access: ContextAccess
  private var isAlive = true

  init(_ renderer: NullRenderer, _ access: ContextAccess) {
    self.renderer = renderer
    self.access = access
  }

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    precondition(isAlive, "the context is gone")
    try renderer.submit(commands)
  }

  var usesRenderer: Bool { true }

  /// Those of small numbers.
  func rendersBlob(_ number: UInt64) -> Bool { number < 8 }

  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob { try renderer.make(blob, over: pages) }

  func attached(_ resource: ResourceID) { precondition(isAlive, "the context is gone") }
  func detached(_ resource: ResourceID) { precondition(isAlive, "the context is gone") }

  func fence(_ fence: FenceID) -> FenceState {
    let access = access
    renderer.owe { access.finishFences(through: fence) }
    return .pending
  }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState {
    guard ring % 2 == 0 else { return .done }
    let access = access
    renderer.owe { access.finishFences(ring: ring, through: fence) }
    return .pending
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory { throw .unknownBlob(number) }

  func destroyed() {
    precondition(isAlive, "destroyed twice")
    isAlive = false
    renderer.contextEnded()
  }
}
