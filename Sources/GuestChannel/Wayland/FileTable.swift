import Buffers
import CrossDomain
import GPUDevice
import Platform

/// The files that the compositor sent (keymaps, lists of formats), as memory that the guest can map: a copy, which the VM
/// pays for, because no VMM that is known maps for its guest a file that is sealed or only to be read. Nobody changes such a
/// file after it was sent.
final class FileTable {
  /// Files that the program has made no resource of.
  static let maximumCount = 64
  /// Bytes of one.
  static let maximumByteCount: UInt64 = 16 << 20

  private let allocate: (Int) throws(GPUError) -> HostMemory
  private var memories: [UInt32: HostMemory] = [:]
  private var numbers = NumberSequence()

  init(allocate: @escaping (Int) throws(GPUError) -> HostMemory) { self.allocate = allocate }

  /// Copies a file; the number that stands for it.
  func add(_ descriptor: SharedDescriptor) throws(GPUError) -> Transmission.Identifier {
    guard memories.count < Self.maximumCount else { throw .contextCommand("files that the program does not take") }
    let size = (try? SharedMemory.size(of: descriptor.raw)) ?? 0
    guard size > 0, size <= Self.maximumByteCount, let byteCount = HostMemory.wholePages(Int(size)) else {
      throw .invalidBlobSize(size)
    }
    let memory = try allocate(byteCount)
    do throws(SystemError) {
      SharedMemory.copyContents(of: descriptor.raw, into: try memory.mutableBytes())
    } catch {
      throw .hostMemory(code: error.code)
    }
    let number = numbers.next { memories[$0] != nil }
    memories[number] = memory
    return Transmission.Identifier(number: number, kind: .blob, byteCount: UInt32(clamping: memory.byteCount))
  }

  /// The program makes a resource of a file: its number is good once.
  func take(_ number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory {
    guard let key = UInt32(exactly: number), let memory = memories[key], UInt64(memory.byteCount) == byteCount else {
      throw .unknownBlob(number)
    }
    memories[key] = nil
    return memory
  }

  func removeAll() { memories.removeAll() }
}

/// Numbers that a service says: from 1, below those that programs choose or ask for.
struct NumberSequence {
  private var last: UInt32 = 0

  /// The next number that is not in use.
  mutating func next(unless isInUse: (UInt32) -> Bool) -> UInt32 {
    repeat { last = last % 0x7fff_ffff + 1 } while isInUse(last)
    return last
  }
}
