import Buffers

/// Who is told what the guest shows.
///
/// Calls come in the order of the guest's commands, from inside ``GPUDevice``'s own calls. A sink may call
/// ``GPUDevice/completeFlush(_:)`` and ``GPUDevice/setScanoutSize(_:_:)`` back.
public protocol DisplaySink: AnyObject {
  /// The scanout shows something else from now on; nil is off. Pixels are valid from the next flush on.
  func scanoutChanged(_ scanout: ScanoutID, to content: ScanoutContent?)
  /// Pixels of a picture that the scanout shows have changed. `damage` is in the picture's coordinates, inside the
  /// scanout's source, and not empty.
  ///
  /// - Returns: whether the guest may go on at once. After `.pending` the sink owes a ``GPUDevice/completeFlush(_:)``,
  ///   soon: the guest waits.
  func flush(_ scanout: ScanoutID, picture: Picture, damage: Rectangle, token: FlushToken) -> FlushResult
  /// Picture, hot spot or visibility of a scanout's cursor has changed, and its place.
  func cursorChanged(_ cursor: CursorState)
  /// A cursor, visible or not, has another place.
  func cursorMoved(_ scanout: ScanoutID, x: Int32, y: Int32)
  /// The guest has given the picture up: nobody writes it any more. A sink keeps the object for as long as somebody still
  /// reads the pixels, because host memory is charged to the VM until the last reference goes.
  func pictureRetired(_ picture: Picture)
  /// What all can use who are shown one of these scanouts; of none: who may be shown anything of the card. After a change
  /// call ``GPUDevice/constraintsChanged(of:)``.
  func constraints(of scanouts: ScanoutMask) -> Constraints
  /// The VMM has changed the guest's memory, and a picture that the scanout shows may lie elsewhere, or nowhere.
  func memoryMoved(_ scanout: ScanoutID, _ picture: Picture)
}

extension DisplaySink {
  /// None: for a sink that shows every picture by itself.
  public func constraints(of scanouts: ScanoutMask) -> Constraints { Constraints() }
}

/// Some of a card's scanouts.
public struct ScanoutMask: OptionSet, Hashable, Sendable {
  /// Bit n is scanout n.
  public let rawValue: UInt16

  /// Scanouts by their bits.
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  /// One scanout; none for a number that no scanout has.
  public init(_ id: ScanoutID) {
    rawValue = UInt16(truncatingIfNeeded: 1 << id.rawValue)
  }

  /// Whether a scanout is among them.
  public func contains(_ id: ScanoutID) -> Bool { !isDisjoint(with: ScanoutMask(id)) }
}

/// What a scanout shows.
public struct ScanoutContent {
  /// The picture.
  public let picture: Picture
  /// The part of it that is shown, not empty and inside the picture.
  public let source: Rectangle

  /// A part of a picture.
  public init(picture: Picture, source: Rectangle) {
    self.picture = picture
    self.source = source
  }
}

/// A flush that a sink has been told of.
public struct FlushToken: Hashable, Sendable {
  /// Grows with each flush command of the device's life and never comes again.
  public let serial: UInt64
  /// On which scanout.
  public let scanout: ScanoutID
  /// Whether the guest waits for a fence. An answer that is not fenced says nothing about when the picture is seen.
  public let isFenced: Bool

  /// A token by its parts.
  public init(serial: UInt64, scanout: ScanoutID, isFenced: Bool) {
    self.serial = serial
    self.scanout = scanout
    self.isFenced = isFenced
  }
}

/// What a sink says about a flush.
public enum FlushResult: Sendable {
  /// Done as far as the guest is concerned.
  case latched
  /// The sink calls ``GPUDevice/completeFlush(_:)`` when it is.
  case pending
}
