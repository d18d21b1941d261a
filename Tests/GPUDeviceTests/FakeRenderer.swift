import Buffers
import GPUDevice

/// A renderer that draws nothing and remembers what it was told: its pixels are their own coordinates.
final class FakeRenderer: Renderer {
  var resources: Set<ResourceID> = []
  var backings: [ResourceID: [UnsafeMutableRawBufferPointer]] = [:]
  /// Every call, in order.
  var calls: [String] = []
  var reads: [Rectangle] = []
  var writes: [Rectangle] = []
  /// The first pixel of each write.
  var firstPixels: [UInt32] = []
  var transfers: [(Command.Transfer3D, toHost: Bool, context: ContextID)] = []
  var refusal: GPUError?
  /// Added to each pixel.
  var shade: UInt32 = 0
  /// What a detached backing held at last.
  var lastBytes: [UInt8] = []

  func byteCount(of description: Command.Create3D) -> Int? {
    let (count, overflow) = Int(description.size.width).multipliedReportingOverflow(by: Int(description.size.height))
    return overflow || count > Int.max / 4 ? nil : count * 4
  }

  func create(_ description: Command.Create3D) throws(GPUError) {
    if let refusal { throw refusal }
    calls.append("create \(description.resource.rawValue)")
    resources.insert(description.resource)
  }

  func remove(_ id: ResourceID) {
    calls.append("remove \(id.rawValue)\(backings[id] == nil ? "" : " with its backing")")
    resources.remove(id)
  }

  func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError) {
    if let refusal { throw refusal }
    calls.append("attach \(id.rawValue)")
    backings[id] = segments
  }

  func detachBacking(of id: ResourceID) {
    calls.append("detach \(id.rawValue)")
    lastBytes = backings.removeValue(forKey: id)?.flatMap { $0.prefix(16) } ?? []
  }

  func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    transfers.append((transfer, true, context))
  }

  func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    transfers.append((transfer, false, context))
  }

  func writePixels(
    of id: ResourceID, _ rectangle: Rectangle, from source: UnsafeRawBufferPointer, stride: Int
  ) throws(GPUError) {
    writes.append(rectangle)
    firstPixels.append(source.loadUnaligned(as: UInt32.self))
  }

  func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError) {
    if let refusal { throw refusal }
    reads.append(rectangle)
    for row in 0..<Int(rectangle.height) {
      for column in 0..<Int(rectangle.width) {
        let pixel = UInt32(column) + rectangle.x + (UInt32(row) + rectangle.y) << 8 + shade
        target.storeBytes(of: pixel, toByteOffset: row * stride + column * 4, as: UInt32.self)
      }
    }
  }
}

/// Contexts that a driver without CONTEXT_INIT gets, and whose fences wait until the test says so.
final class FakeDefaultContexts: ContextKind {
  let capset: UInt32 = 2
  let capsetVersion: UInt32 = 2
  let capsetBytes: [UInt8] = [9]
  let maximumCommandByteCount = 4096
  let isDefault = true
  private(set) var made: [FakeDefaultContext] = []

  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext {
    let context = FakeDefaultContext(access)
    made.append(context)
    return context
  }
}

final class FakeDefaultContext: GuestContext {
  let access: ContextAccess
  var waiting: [FenceID] = []
  var resources: [ResourceID] = []
  private(set) var submissions = 0
  /// Blobs that the renderer makes, by their numbers.
  var blobs: [UInt64: RenderedBlob] = [:]
  /// What the last one was made over.
  private(set) var pages: [UnsafeMutableRawBufferPointer] = []

  init(_ access: ContextAccess) { self.access = access }

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) { submissions += 1 }
  func attached(_ resource: ResourceID) { resources.append(resource) }
  func detached(_ resource: ResourceID) { resources.removeAll { $0 == resource } }

  func fence(_ fence: FenceID) -> FenceState {
    waiting.append(fence)
    return .pending
  }

  let usesRenderer = true
  func rendersBlob(_ number: UInt64) -> Bool { number != 0 }

  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob {
    guard let made = blobs.removeValue(forKey: blob.blob) else { throw .unknownBlob(blob.blob) }
    self.pages = pages
    return made
  }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState { .done }
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory { throw .unknownBlob(number) }
  func destroyed() {}
}
