import Buffers
import HubProtocol

/// Where the scanouts of VMs stand on displays, as a configuration says it.
public struct Layout: Equatable, Sendable {
  /// A display that is expected.
  public struct Display: Equatable, Sendable {
    /// Its name, the one that its consumer says.
    public var name: PeerName
    /// Its size, if the configuration says one.
    public var size: Size?
    /// Whether it may be handed VMs' memory that holds more than the picture.
    public var seesGuestMemory: Bool

    /// A display.
    public init(name: PeerName, size: Size? = nil, seesGuestMemory: Bool = false) {
      self.name = name
      self.size = size
      self.seesGuestMemory = seesGuestMemory
    }
  }

  /// One scanout in one place.
  public struct Placement: Equatable, Sendable {
    /// Whose picture.
    public var vm: PeerName
    /// Which of its screens.
    public var scanout: ScanoutIndex
    /// On which display; nil: on none.
    public var display: PeerName?
    /// Where on it; may reach beyond it.
    public var area: Rectangle
    /// Higher is nearer.
    public var z: Int32
    /// How a picture of another size meets the area.
    public var scaleMode: ScaleMode
    /// 0 invisible, 255 opaque.
    public var opacity: UInt8
    /// The mode that the guest is asked to take; nil leaves it alone.
    public var mode: Size?

    /// A place.
    public init(
      vm: PeerName, scanout: ScanoutIndex = ScanoutIndex(0), display: PeerName?, area: Rectangle, z: Int32 = 0,
      scaleMode: ScaleMode = .fit, opacity: UInt8 = 255, mode: Size? = nil
    ) {
      self.vm = vm
      self.scanout = scanout
      self.display = display
      self.area = area
      self.z = z
      self.scaleMode = scaleMode
      self.opacity = opacity
      self.mode = mode
    }
  }

  /// The displays.
  public var displays: [Display]
  /// The places.
  public var placements: [Placement]

  /// A layout.
  public init(displays: [Display] = [], placements: [Placement] = []) {
    self.displays = displays
    self.placements = placements
  }

  /// Without a configuration: the scanouts side by side in equal cells, in the order given, from left to right.
  static func row(of scanouts: [(vm: PeerName, scanout: ScanoutIndex)], on display: Display) -> [Placement] {
    guard let size = display.size, !scanouts.isEmpty else { return [] }
    let count = UInt64(scanouts.count)
    return scanouts.enumerated().map { index, cell in
      let left = UInt32(UInt64(size.width) * UInt64(index) / count)
      let right = UInt32(UInt64(size.width) * UInt64(index + 1) / count)
      let area = Rectangle(x: left, y: 0, width: right - left, height: size.height)
      return Placement(vm: cell.vm, scanout: cell.scanout, display: display.name, area: area)
    }
  }
}
