import Buffers
import GPUProtocol
import Virtqueue

/// Contexts: capability sets, what is submitted, and fences on a context's rings (virtio 1.3, 5.7.6.9 and
/// VIRTIO_GPU_F_CONTEXT_INIT).
extension GPUDevice {
  func performInContext(
    _ command: Command, _ header: CommandHeader, _ chain: DescriptorChain
  ) throws(GPUError) {
    try requireFeature(Self.virglFeature, for: command.code)
    let context = header.context
    switch command {
    case .contextCreate(let length, let kind): try createContext(context, length, kind)
    case .contextDestroy: try destroyContext(context)
    case .contextAttachResource(let id):
      try contexts.check(context)
      let isPicture = try resources.findAny(id) is Resource
      try contexts.attach(id, to: context, isPicture: isPicture)
      try contexts.find(context)?.attached(id)
    case .contextDetachResource(let id):
      try contexts.check(context)
      contexts.detach(id, from: context)
      _ = try resources.findAny(id)
      try contexts.find(context)?.detached(id)
    case .submit3D(let byteCount, let fenceCount):
      if header.isFenced { try checkWaiting() }
      try submit(byteCount, fenceCount, in: context, chain)
    case .resourceCreate3D(let description): try createTexture(description)
    case .transferToHost3D(let box): try transfer(box, toHost: true, in: context)
    case .transferFromHost3D(let box): try transfer(box, toHost: false, in: context)
    default: throw .notOffered(command.code)
    }
  }

  // MARK: Capability sets

  /// GET_CAPSET_INFO.
  func capsetInfo(at index: UInt32) throws(GPUError) -> CapsetInfo {
    guard index < UInt32(contextKinds.count) else { throw .unknownCapset(index) }
    let kind = contextKinds[Int(index)]
    return CapsetInfo(
      id: kind.capset, maximumVersion: kind.capsetVersion, maximumByteCount: UInt32(kind.capsetBytes.count))
  }

  /// GET_CAPSET.
  func capset(_ id: UInt32, version: UInt32) throws(GPUError) -> [UInt8] {
    let kind = try kind(ofCapset: id)
    guard version <= kind.capsetVersion else { throw .unknownCapset(id) }
    return kind.capsetBytes
  }

  private func kind(ofCapset id: UInt32) throws(GPUError) -> any ContextKind {
    guard let kind = contextKinds.first(where: { $0.capset == id }) else { throw .unknownCapset(id) }
    return kind
  }

  // MARK: Life

  /// `context_init`: the low eight bits name the capability set.
  private func createContext(_ id: ContextID, _ nameLength: UInt32, _ initialization: UInt32) throws(GPUError) {
    let capset = hasAccepted(Self.contextInitFeature) ? initialization & 0xff : 0
    let kind = try capset == 0 ? contextKinds.first { $0.isDefault } : self.kind(ofCapset: capset)
    try contexts.reserve(id, nameLength: nameLength)
    do throws(GPUError) {
      let context = try kind?.makeContext(ContextAccess(self, id))
      contexts.add(id, context, maximumCommandByteCount: kind?.maximumCommandByteCount ?? 0)
    } catch {
      contexts.giveBack()
      throw error
    }
  }

  private func destroyContext(_ id: ContextID) throws(GPUError) {
    try contexts.remove(id)?.destroyed()
    finishAllFences(of: id)
  }

  // MARK: Commands

  private func submit(
    _ byteCount: UInt32, _ fenceCount: UInt32, in id: ContextID, _ chain: DescriptorChain
  ) throws(GPUError) {
    guard let context = try contexts.find(id) else { throw .notOffered(.submit3D) }
    let limit = contexts.maximumCommandByteCount(id)
    guard fenceCount == 0, byteCount > 0, byteCount <= UInt32(clamping: limit) else {
      throw .invalidCommandSize(byteCount)
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(byteCount), alignment: 8)
    defer { bytes.deallocate() }
    let got = chain.read(into: bytes, at: CommandCode.submit3D.byteCount)
    guard got == bytes.count else { throw .commandsTruncated(byteCount, byteCount: got) }
    allowance -= bytes.count >> 10
    prepareResources(of: id, context)
    try context.submit(UnsafeRawBufferPointer(bytes))
  }

  // MARK: Fences

  /// Where a request's answer stands among those that have fences, its command done.
  func order(of header: CommandHeader?, refused: Bool) -> RequestQueue.Order {
    guard let header, header.isFenced else { return .none }
    guard header.isOnRing else {
      let waits = !refused && header.type == CommandCode.submit3D.rawValue
      let state = waits ? context(header.context)?.fence(header.fence) : nil
      return RequestQueue.Order(timeline: .device, fence: header.fence, isPending: state == .pending)
    }
    let state = refused ? nil : context(header.context)?.fence(header.fence, ring: header.ring)
    return RequestQueue.Order(
      timeline: .ring(header.context, header.ring), fence: header.fence, isPending: state == .pending)
  }

  private func context(_ id: ContextID) -> (any GuestContext)? { (try? contexts.find(id)) ?? nil }

  func finishFences(of timeline: RequestQueue.Timeline, through fence: FenceID) {
    let control = controlRequests
    control.finishFences(of: timeline, through: fence)
    notifyUnlessServing(control)
  }

  private func finishAllFences(of context: ContextID) {
    let control = controlRequests
    control.finishFences(of: context)
    notifyUnlessServing(control)
  }
}
