import Buffers
import HubProtocol

/// What a display shows: layers above each other, and which of its pixels have to be painted anew.
///
/// A layer covers its whole area, with bars where the picture leaves room; so a layer of full opacity hides what is
/// below it. Nothing here does input or output.
public final class Scene {
  private struct Layer {
    var placement: LayerDescription
    /// Nil: nothing yet, black.
    var content: LayerContent?
    var cursor: CursorState = .hidden
    /// What is painted of a buffer; nil when there is nothing to see of it.
    var picture: Picture?

    var projection: Projection? { picture?.projection }
    var id: LayerID { placement.id }
    var isOpaque: Bool { placement.opacity == .max }

    func isBelow(_ other: Layer) -> Bool {
      (placement.z, id) < (other.placement.z, other.id)
    }

    mutating func project() {
      guard case .shown(let buffer, let source) = content, !source.isEmpty, !placement.area.isEmpty else {
        return picture = nil
      }
      picture = Picture(
        buffer, source: source,
        projection: Projection(source: source.size, area: placement.area, mode: placement.scaleMode))
    }
  }

  /// Size of the display.
  public let size: Size
  /// What has to be painted anew.
  public let damage = Region()
  /// From the bottom up.
  private var layers: [Layer] = []
  private let scratch = Region()
  private let rest = Region()

  /// A display without layers, which has never been painted.
  public init(size: Size) {
    self.size = size
    damageEverything()
  }

  /// Whether a frame is due.
  public var isDamaged: Bool { !damage.isEmpty }
  /// The layers, from the bottom up.
  public var layerIDs: [LayerID] { layers.map(\.id) }

  /// Has the whole display painted anew.
  public func damageEverything() {
    damage.formUnion(Rectangle(size))
  }

  /// Adds a layer, or places it anew.
  public func setLayer(_ placement: LayerDescription) {
    var layer = Layer(placement: placement)
    if let index = index(of: placement.id) {
      guard layers[index].placement != placement else { return }
      damageArea(of: index)
      layer = layers.remove(at: index)
      layer.placement = placement
    }
    layer.project()
    let position = layers.firstIndex { layer.isBelow($0) } ?? layers.count
    layers.insert(layer, at: position)
    damageArea(of: position)
  }

  /// Removes a layer; an unknown one is ignored.
  public func removeLayer(_ id: LayerID) {
    guard let index = index(of: id) else { return }
    damageArea(of: index)
    layers.remove(at: index)
  }

  /// Where a layer is placed.
  public func placement(of id: LayerID) -> LayerDescription? {
    index(of: id).map { layers[$0].placement }
  }

  /// What a layer shows.
  public func content(of id: LayerID) -> LayerContent? {
    index(of: id).flatMap { layers[$0].content }
  }

  /// Shows something else in a layer: a buffer that the source is inside of, or nothing.
  ///
  /// The whole layer is damaged: another buffer holds another picture.
  public func setContent(of id: LayerID, _ content: LayerContent) {
    guard let index = index(of: id) else { return }
    if case (.absent(let new), .absent(let old)?) = (content, layers[index].content), new == old { return }
    layers[index].content = content
    layers[index].project()
    damageArea(of: index)
  }

  /// Pixels of the layer's buffer changed.
  public func damageBuffer(of id: LayerID, _ rectangle: Rectangle) {
    guard let index = index(of: id), let projection = layers[index].projection,
      case .shown(_, let source) = layers[index].content
    else { return }
    let changed = rectangle.intersection(source)
    guard !changed.isEmpty else { return }
    damage(
      projection.image(
        left: Int64(changed.x) - Int64(source.x), top: Int64(changed.y) - Int64(source.y),
        width: Int64(changed.width), height: Int64(changed.height)),
      of: index)
  }

  /// Gives a layer another cursor.
  public func setCursor(of id: LayerID, _ cursor: CursorState) {
    guard let index = index(of: id) else { return }
    damageCursor(of: index)
    layers[index].cursor = cursor
    damageCursor(of: index)
  }

  /// Moves a layer's cursor.
  public func moveCursor(of id: LayerID, x: Int32, y: Int32) {
    guard let index = index(of: id) else { return }
    var cursor = layers[index].cursor
    (cursor.x, cursor.y) = (x, y)
    setCursor(of: id, cursor)
  }

  /// Writes down how to paint what is damaged, and regards it as painted.
  public func takeFrame(into list: PaintList) {
    list.removeAll()
    list.damage.assign(damage)
    rest.assign(damage)
    damage.removeAll()
    for layer in layers.reversed() where layer.placement.opacity > 0 {
      guard !rest.isEmpty else { break }
      scratch.assign(rest)
      scratch.formIntersection(layer.placement.area)
      guard !scratch.isEmpty else { continue }
      paint(layer, scratch, into: list)
      if layer.isOpaque { rest.subtract(layer.placement.area) }
    }
    list.append(.black, of: rest, opacity: .max)
    list.finish()
  }

  private func paint(_ layer: Layer, _ visible: Region, into list: PaintList) {
    let opacity = layer.placement.opacity
    switch layer.content {
    case nil:
      list.append(.black, of: visible, opacity: opacity)
    case .absent(let reason):
      list.append(
        .placeholder(name: layer.placement.vm.text, reason: reason.label, area: layer.placement.area), of: visible,
        opacity: opacity)
    case .shown:
      guard let picture = layer.picture else { return list.append(.black, of: visible, opacity: opacity) }
      let projection = picture.projection
      if let cursor = PlacedCursor(layer.cursor) {
        list.append(.cursor(cursor, projection), within: cursor.box(projection), of: visible, opacity: opacity)
      }
      list.append(.picture(picture), within: projection.picture, of: visible, opacity: opacity)
      list.append(.black, outside: projection.picture, of: visible, opacity: opacity)
    }
  }

  private func damageArea(of index: Int) {
    damage(Box(layers[index].placement.area), of: index)
  }

  private func damageCursor(of index: Int) {
    guard let cursor = PlacedCursor(layers[index].cursor), let projection = layers[index].projection else { return }
    damage(cursor.box(projection), of: index)
  }

  /// Damages what can be seen of a box of a layer.
  private func damage(_ box: Box, of index: Int) {
    let layer = layers[index]
    guard layer.placement.opacity > 0 else { return }
    let visible = box.intersection(Box(layer.placement.area)).intersection(Box(Rectangle(size)))
    scratch.removeAll()
    scratch.formUnion(visible)
    for upper in layers[(index + 1)...] where upper.isOpaque { scratch.subtract(upper.placement.area) }
    damage.formUnion(scratch)
  }

  private func index(of id: LayerID) -> Int? {
    layers.firstIndex { $0.id == id }
  }
}
