import Buffers
import Hub
import HubProtocol
import Supervisor

extension Layout {
  /// The places that a configuration gives to screens.
  init(_ configuration: Configuration) {
    self.init()
    displays = configuration.displays.compactMap { display in
      PeerName(display.name).map {
        Display(name: $0, size: display.size, seesGuestMemory: display.seesGuestMemory)
      }
    }
    placements = configuration.machines.flatMap { machine in
      machine.scanouts.enumerated().compactMap { Self.placement(of: machine.name, $0.offset, $0.element) }
    }
  }

  private static func placement(
    of machine: String, _ index: Int, _ scanout: Configuration.Scanout
  ) -> Placement? {
    guard let vm = PeerName(machine), scanout.display.map({ PeerName($0) != nil }) ?? true else { return nil }
    return Placement(
      vm: vm, scanout: ScanoutIndex(index), display: scanout.display.flatMap { PeerName($0) }, area: scanout.area,
      z: Int32(clamping: scanout.layer),
      scaleMode: HubProtocol.ScaleMode(scanout.scale), opacity: UInt8(clamping: Int((scanout.opacity * 255).rounded())),
      mode: scanout.area.size)
  }
}

extension HubProtocol.ScaleMode {
  fileprivate init(_ mode: Configuration.ScaleMode) {
    switch mode {
    case .fit: self = .fit
    case .fill: self = .fill
    case .none: self = .none
    }
  }
}
