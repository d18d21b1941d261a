import Buffers
import Platform
import Virtqueue

/// Makes dma-bufs of a guest's pages where the machine can (/dev/udmabuf).
final class DMABufMaker {
  private let device: UDMABuf?
  private let refusal: HandOverReason

  /// Opens the device, once.
  init() {
    do throws(UDMABufFailure) {
      device = try UDMABuf()
      refusal = .udmabufRefused
    } catch {
      device = nil
      refusal = Self.reason(of: error)
    }
  }

  /// One dma-buf of all pieces, in their order.
  func make(_ pieces: [MemoryFilePiece]) throws(HandOverRefusal) -> SharedDescriptor {
    let mapped = pieces.map {
      MappingPiece(descriptor: $0.file.descriptor.raw, offset: $0.offset, count: Int(clamping: $0.count))
    }
    do throws(UDMABufFailure) {
      switch device {
      case .some(let device): return SharedDescriptor(try device.create(mapped))
      case .none: throw .notAvailable(SystemError(call: "open", code: 0))
      }
    } catch {
      throw HandOverRefusal(Self.reason(of: error))
    }
  }

  private static func reason(of failure: UDMABufFailure) -> HandOverReason {
    switch failure {
    case .notAvailable: .noUDMABuf
    case .unaligned: .unaligned
    case .tooManyPieces: .udmabufListLimit
    case .tooLarge: .udmabufSizeLimit
    case .notSealed: .memoryNotSealed
    case .refused: .udmabufRefused
    }
  }
}
