import Buffers

/// One head of the card: what the host asks for, and what the guest shows.
struct Scanout {
  let id: ScanoutID
  /// The size that the host asks for; the last one while nobody looks.
  private(set) var size: Size
  /// Whether somebody looks.
  private(set) var isEnabled: Bool
  private(set) var edid: EDID
  /// What the guest shows, nil for nothing.
  private(set) var resource: GuestResource?
  /// How it is shown.
  private(set) var picture: Picture?
  /// Which part of it.
  private(set) var source = Rectangle.empty

  private let machine: String

  init(_ id: ScanoutID, size: Size?, machine: String) {
    self.id = id
    self.machine = machine
    self.size = size ?? Size(width: 1280, height: 800)
    isEnabled = size != nil
    edid = Self.edid(id, self.size, machine)
  }

  private static func edid(_ id: ScanoutID, _ size: Size, _ machine: String) -> EDID {
    EDID(size: size, name: "Muntin \(id.rawValue + 1)", serial: EDID.serial(machine: machine, scanout: id))
  }

  /// Another size, or nobody looks; whether that is news.
  mutating func setSize(_ new: Size?) -> Bool {
    guard new != (isEnabled ? size : nil) else { return false }
    isEnabled = new != nil
    if let new, new != size {
      size = new
      edid = Self.edid(id, new, machine)
    }
    return true
  }

  /// The scanout alone.
  var mask: ScanoutMask { ScanoutMask(rawValue: bit) }
  /// The scanout's bit in ``GuestResource/scanouts``.
  var bit: UInt16 { UInt16(truncatingIfNeeded: 1 << id.rawValue) }

  /// Shows a part of a resource, or nothing; whether that is news.
  mutating func show(_ new: GuestResource?, _ newPicture: Picture?, _ part: Rectangle) -> Bool {
    guard newPicture !== picture || part != source else { return false }
    resource?.scanouts &= ~bit
    resource = new
    picture = newPicture
    source = part
    resource?.scanouts |= bit
    return true
  }
}
