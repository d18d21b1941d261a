import Buffers
import GPUDevice
import Platform

/// A renderer that draws nothing, and ends the process when it is asked for what it cannot be asked for.
final class FuzzRenderer: Renderer {
  private var resources: Set<ResourceID> = []
  private var backings: [ResourceID: [UnsafeMutableRawBufferPointer]] = [:]
  private var sum: UInt8 = 0

  var isEmpty: Bool { resources.isEmpty && backings.isEmpty }

  func byteCount(of description: Command.Create3D) -> Int? {
    let (count, overflow) = Int(description.size.width).multipliedReportingOverflow(by: Int(description.size.height))
    return overflow || count > Int.max / 4 ? nil : count * 4
  }

  func create(_ description: Command.Create3D) throws(GPUError) {
    guard description.depth < 8 else { throw .renderer("depth") }
    add(description.resource)
  }

  func add(_ id: ResourceID, over pages: [UnsafeMutableRawBufferPointer] = []) {
    precondition(id != .none && resources.insert(id).inserted, "made twice")
    if !pages.isEmpty { backings[id] = pages }
  }

  func remove(_ id: ResourceID) {
    precondition(resources.remove(id) != nil, "never made")
    precondition(backings[id] == nil, "gone with its backing")
  }

  func attachBacking(_ segments: [UnsafeMutableRawBufferPointer], to id: ResourceID) throws(GPUError) {
    precondition(resources.contains(id) && backings[id] == nil, "attached twice")
    guard segments.count < 12 else { throw .renderer("pieces") }
    backings[id] = segments
  }

  func detachBacking(of id: ResourceID) {
    precondition(resources.contains(id), "never made")
    guard let segments = backings.removeValue(forKey: id) else { preconditionFailure("never attached") }
    touch(segments)
  }

  func transferToHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    try touch(transfer.resource)
  }

  func transferFromHost(_ transfer: Command.Transfer3D, in context: ContextID) throws(GPUError) {
    try touch(transfer.resource)
  }

  func writePixels(
    of id: ResourceID, _ rectangle: Rectangle, from source: UnsafeRawBufferPointer, stride: Int
  ) throws(GPUError) {
    precondition(resources.contains(id) && !rectangle.isEmpty)
    sum &+= source[stride * Int(rectangle.height - 1) + 4 * Int(rectangle.width) - 1]
  }

  func readPixels(
    of id: ResourceID, _ rectangle: Rectangle, into target: UnsafeMutableRawBufferPointer, stride: Int
  ) throws(GPUError) {
    precondition(resources.contains(id) && !rectangle.isEmpty)
    target[stride * Int(rectangle.height - 1) + 4 * Int(rectangle.width) - 1] = sum
  }

  /// The library would find all pages that it was given.
  private func touch(_ id: ResourceID) throws(GPUError) {
    precondition(resources.contains(id), "never made")
    guard let segments = backings[id] else { throw .noBacking(id) }
    touch(segments)
  }

  private func touch(_ segments: [UnsafeMutableRawBufferPointer]) {
    for segment in segments where !segment.isEmpty { sum &+= segment[segment.count - 1] }
  }
}

/// Contexts of such a renderer. Their blobs are of four kinds, by the number: refused, without a descriptor, and, twice, a
/// page behind the begin of a file.
final class FuzzRenderedContexts: ContextKind {
  let capset: UInt32 = 2
  let capsetVersion: UInt32 = 1
  let capsetBytes: [UInt8] = [1]
  let maximumCommandByteCount = 256
  let isDefault = true
  private let renderer: FuzzRenderer

  init(_ renderer: FuzzRenderer) {
    self.renderer = renderer
  }

  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext { FuzzRenderedContext(renderer) }
}

private final class FuzzRenderedContext: GuestContext {
  private let renderer: FuzzRenderer

  init(_ renderer: FuzzRenderer) {
    self.renderer = renderer
  }

  let usesRenderer = true
  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {}
  func fence(_ fence: FenceID, ring: UInt8) -> FenceState { .done }
  func rendersBlob(_ number: UInt64) -> Bool { number != 0 }
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory { throw .unknownBlob(number) }
  func destroyed() {}

  func makeBlob(
    _ blob: Command.CreateBlob, over pages: [UnsafeMutableRawBufferPointer]
  ) throws(GPUError) -> RenderedBlob {
    guard blob.blob % 4 != 0 else { throw .unknownBlob(blob.blob) }
    let memory = blob.blob % 4 == 1 ? nil : try memory(Int(blob.byteCount))
    renderer.add(blob.resource, over: pages)
    return RenderedBlob(memory: memory, caching: .writeCombined)
  }

  private func memory(_ byteCount: Int) throws(GPUError) -> HostMemory {
    do throws(SystemError) {
      let file = try SharedMemoryFile(name: "fuzz", count: byteCount + 4096)
      let descriptor = SharedDescriptor(try file.writable.duplicate())
      return HostMemory(foreign: descriptor, byteCount: HostMemory.wholePages(byteCount) ?? 0, from: 4096) {}
    } catch {
      throw .hostMemory(code: error.code)
    }
  }
}
