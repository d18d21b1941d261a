import Buffers
import HubProtocol

/// Which displays may see all of the VMs' memory, which is what handing over ranges of it means.
public enum DisplayTrust: Equatable, Sendable {
  /// None: pictures reach displays in memory of their own only.
  case none
  /// Every display.
  case all
  /// Those of these names.
  case only(Set<PeerName>)

  /// Whether that display may.
  public func includes(_ display: PeerName) -> Bool {
    switch self {
    case .none: false
    case .all: true
    case .only(let names): names.contains(display)
    }
  }

  /// The kinds of memory that may be handed to who is trusted or not. A dma-buf of a VM's pages can be written by who
  /// holds it, and cannot be taken back.
  static func kinds(isTrusted: Bool) -> MemoryKind { isTrusted ? .all : .file }
}
