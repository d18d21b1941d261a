import Buffers
import HubProtocol
import Platform

/// What each party has of the host's memory by way of the hub. It is charged until the last lease of its buffers has
/// ended, also after the party's death.
final class PartyAccounts {
  /// The charge for one memory file, shared by the buffers in it.
  final class FileCharge {
    private let charge: Ledger.Charge
    init(_ charge: consuming Ledger.Charge) { self.charge = charge }
  }

  private struct Known {
    weak var charge: FileCharge?
  }

  private final class Account {
    let ledger: Ledger
    var files: [FileIdentity: Known] = [:]
    init(_ limits: LedgerAmounts) { ledger = Ledger(limits: limits) }
  }

  private var accounts: [Party: Account] = [:]
  private let limits: (Party) -> LedgerAmounts
  /// Whether a party is there: the accounts of others are forgotten once they owe nothing.
  var isConnected: (Party) -> Bool = { _ in true }

  init(limits: @escaping (Party) -> LedgerAmounts) {
    self.limits = limits
  }

  /// The party's ledger.
  func ledger(of party: Party) -> Ledger { account(party).ledger }

  /// What stands in a ledger, if there is one.
  func totals(of party: Party) -> LedgerAmounts { accounts[party]?.ledger.totals ?? .nothing }

  var parties: [Party] { Array(accounts.keys) }

  private func account(_ party: Party) -> Account {
    if let account = accounts[party] { return account }
    let account = Account(limits(party))
    account.ledger.changed = { [weak self] in self?.forgetIfEmpty(party) }
    accounts[party] = account
    return account
  }

  /// Charges a file once, however many buffers are in it.
  func charge(_ file: FileIdentity, byteCount: Int, to party: Party) throws(Refusal) -> FileCharge {
    let account = account(party)
    if let known = account.files[file]?.charge { return known }
    if account.files.count > 1024 { account.files = account.files.filter { $0.value.charge != nil } }
    do throws(Ledger.OverLimit) {
      let charge = FileCharge(try account.ledger.charge(.init(byteCount, as: .hostAllocated, descriptors: 1)))
      account.files[file] = Known(charge: charge)
      return charge
    } catch {
      throw .overLimit("\(error)")
    }
  }

  /// Charges what a party uses of another's; a VM has a limit of its own for that.
  func importing(_ byteCount: Int, by party: Party, limit: Int?) throws(Refusal) -> Ledger.Charge {
    let ledger = account(party).ledger
    if let limit, byteCount > limit - ledger.totals.imported {
      throw .overLimit("\(byteCount) bytes more of others' memory would exceed \(limit)")
    }
    do throws(Ledger.OverLimit) {
      return try ledger.charge(.init(byteCount, as: .imported))
    } catch {
      throw .overLimit("\(error)")
    }
  }

  /// Forgets a party that has left and owes nothing.
  func forgetIfEmpty(_ party: Party) {
    guard let account = accounts[party], account.ledger.totals == .nothing, !isConnected(party) else { return }
    accounts[party] = nil
  }
}
