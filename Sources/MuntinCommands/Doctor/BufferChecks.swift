import Glibc
import Platform

/// How pictures can be handed over without a copy, and what the host can allocate.
enum BufferChecks {
  static var all: [Finding] { [udmabuf, dmaHeaps, GBMCheck.finding] }

  // MARK: udmabuf

  /// A 4K picture in scattered pages.
  private static let largePicture = UDMABufLimits(pieces: 8100, byteCount: 256 << 20)

  private static var udmabuf: Finding {
    let limits = UDMABuf.limits
    do throws(UDMABufFailure) {
      _ = try page(of: UDMABuf())
    } catch {
      return noUDMABuf(error)
    }
    let isSmall = limits.pieces < largePicture.pieces || limits.byteCount < largePicture.byteCount
    return Finding(
      "udmabuf", isSmall ? .limited : .ok,
      "/dev/udmabuf makes dma-bufs of at most \(limits.pieces) ranges and \(limits.byteCount >> 20) MiB",
      means: isSmall
        ? "Guests' pictures become dma-bufs; one beyond the limits (4K in scattered pages: 8100 ranges) is mapped in ranges."
        : "Guests' pictures become dma-bufs, for displays and GPUs, too.",
      remedy: isSmall ? "options udmabuf list_limit=16384 size_limit_mb=512 in /etc/modprobe.d/udmabuf.conf" : "")
  }

  private static func page(of device: borrowing UDMABuf) throws(UDMABufFailure) -> FileDescriptor {
    let page = SharedMemory.pageSize
    let file: FileDescriptor
    do { file = try SharedMemory.create(name: "muntin-doctor", count: page) } catch { throw .refused(error) }
    return try device.create([MappingPiece(descriptor: file.raw, offset: 0, count: page)])
  }

  private static func noUDMABuf(_ failure: UDMABufFailure) -> Finding {
    let code: Int32? = if case .notAvailable(let error) = failure { error.code } else { nil }
    return Finding(
      "udmabuf", .limited, "\(failure)",
      means:
        "Guests' pictures are mapped in ranges of the VM's memory, by displays that may see it; for others they are "
        + "copied. Displays and GPUs of this machine need copies.",
      remedy: code == EACCES
        ? "give this user access to /dev/udmabuf: a udev rule with GROUP=\"kvm\", for example"
        : "modprobe udmabuf (Linux 4.20 or later, CONFIG_UDMABUF)")
  }

  // MARK: Heaps

  private static var dmaHeaps: Finding {
    let names = DMAHeap.names
    guard !names.isEmpty else {
      return Finding(
        "dma-heaps", .limited, "no \(DMAHeap.folder)",
        means: "Memory that the host allocates is memory files; they cannot be given to devices. 2D and VNC need none.",
        remedy: "a kernel with CONFIG_DMABUF_HEAPS_SYSTEM, and access to \(DMAHeap.folder)/system")
    }
    let usable = names.filter { (try? DMAHeap.allocate(from: $0, byteCount: SharedMemory.pageSize)) != nil }
    guard !usable.isEmpty else {
      return Finding(
        "dma-heaps", .limited, "\(names.joined(separator: " ")): not for this user",
        means: "Memory that the host allocates is memory files; they cannot be given to devices. 2D and VNC need none.",
        remedy: "give this user access to \(DMAHeap.folder)/\(names[0]): a udev rule with GROUP=\"video\", for example")
    }
    return Finding(
      "dma-heaps", .ok, usable.joined(separator: " "), means: "The host can allocate memory that devices use, too.")
  }
}
