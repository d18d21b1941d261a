import Platform
import Virtqueue

/// Makes dma-bufs of a guest's pages where the machine can (/dev/udmabuf).
public final class DMABufMaker {
  private let device: Result<UDMABuf, UDMABufFailure>

  /// Opens the device, once.
  public init() {
    do throws(UDMABufFailure) {
      device = .success(try UDMABuf())
    } catch {
      device = .failure(error)
    }
  }

  /// One dma-buf of all pieces, in their order.
  public func make(_ pieces: [MemoryFilePiece]) throws(UDMABufFailure) -> SharedDescriptor {
    let mapped = pieces.map {
      MappingPiece(descriptor: $0.file.descriptor.raw, offset: $0.offset, count: Int(clamping: $0.count))
    }
    switch device {
    case .success(let device): return SharedDescriptor(try device.create(mapped))
    case .failure(let failure): throw failure
    }
  }
}
