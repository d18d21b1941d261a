import Buffers
import GPUDevice

/// Contexts that remember what they were given, and whose fences wait until the test says so.
final class FakeContexts: ContextKind {
  let capset: UInt32 = 5
  let capsetVersion: UInt32 = 1
  let capsetBytes: [UInt8] = [1, 2, 3]
  let maximumCommandByteCount = 4096
  var refusal: GPUError?
  private(set) var made: [FakeContext] = []

  func makeContext(_ access: ContextAccess) throws(GPUError) -> any GuestContext {
    if let refusal { throw refusal }
    let context = FakeContext(access)
    made.append(context)
    return context
  }
}

final class FakeContext: GuestContext {
  let access: ContextAccess
  var submitted: [[UInt8]] = []
  var refusal: GPUError?
  /// Rings on which fences wait.
  var slowRings: Set<UInt8> = []
  var fences: [UInt64] = []
  var blobs: [UInt64: HostMemory] = [:]
  private(set) var isDestroyed = false

  init(_ access: ContextAccess) { self.access = access }

  func submit(_ commands: UnsafeRawBufferPointer) throws(GPUError) {
    if let refusal { throw refusal }
    submitted.append([UInt8](commands))
  }

  func fence(_ fence: FenceID, ring: UInt8) -> FenceState {
    fences.append(fence.rawValue)
    return slowRings.contains(ring) ? .pending : .done
  }

  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    guard let memory = blobs[number], UInt64(memory.byteCount) == byteCount else { throw .unknownBlob(number) }
    return memory
  }

  func destroyed() { isDestroyed = true }
}
