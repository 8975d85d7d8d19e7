//! `reconciled operate`: the only place that sends what moves money.
//!
//! It runs in the process of the person who typed it, with credentials the daemon never reads. The daemon checks the
//! operation against the chain and journals it; then it is sent once; then the daemon is told what came of it. Killed in
//! between, the daemon knows of it and looks it up.

pub mod args;
mod request;
mod send;
mod unchecked;

use std::io::{IsTerminal, Write};

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use self::args::{Banks, Common, Operate, Resolve, Wished};
use self::request::{Outgoing, Parts, PayeeFile};
use self::send::Sent;
use super::cli::{ConfigFile, Failure, ask, print, source};
use super::config::operations::{Login, login};
use super::config::{self, Config, Flags, Surroundings};
use super::exit;
use super::operations_http::{AnswerTold, Asked, Stated};
use crate::core::account::{Account, Contract};
use crate::core::operation::{BASKET_MAX_LINES, BasketLine, Fund, Kind, Operator, Plan, Wish};
use crate::core::operation::{Outcome, Target};
use crate::engine::Refusal;
use crate::wire;
use crate::wire::checkout::backend;
use crate::words::id::{MerchantName, RequestId, TransactionId};
use crate::words::money::Currency;

/// Longest request-id: the gateway's own suffixes must still fit into 150 (fact sheet wpg d.3).
const REQUEST_ID_MAX_BYTES: usize = 120;

/// Runs one command line; returns the process's exit code.
pub fn run(operate: &Operate) -> Result<u8, Failure> {
    let wished = match operate {
        Operate::Capture(taking) => Wished::taking(Kind::Capture, taking),
        Operate::Void(taking) => Wished::taking(Kind::Void, taking),
        Operate::Refund(giving) => Wished::giving(Kind::Refund, giving),
        Operate::Credit(giving) => Wished::giving(Kind::Credit, giving),
        Operate::Deposit(taking) => Wished::taking(Kind::Deposit, taking),
        Operate::DepositReversal(one) => Wished::reversal(Kind::DepositReversal, &one.reversal, one.payment.as_deref()),
        Operate::ApproveReversal(whole) => Wished::reversal(Kind::ApproveReversal, whole, None),
        Operate::RefundReversal(one) => Wished::reversal(Kind::RefundReversal, &one.reversal, one.credit.as_deref()),
        Operate::Recur(recurring) => Wished::recurring(recurring),
        Operate::Transfer(payout) => Wished::payout(payout),
        Operate::FinancialInstitutions(banks) => return list_banks(banks),
        Operate::Resolve(resolve) => return resolved(resolve),
    };
    Desk::new(wished.common)?.operate(&wished)
}

fn refused(refusal: &Refusal) -> Failure {
    let hint = refusal.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let field = refusal.field.as_deref().map(|field| format!("`{field}` ")).unwrap_or_default();
    Failure::new(exit::NO, format!("refused: {field}{}{hint}", refusal.error))
}

fn usage(what: impl Into<String>) -> Failure {
    Failure::new(exit::USAGE, what)
}

fn waited<T>(what: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::new(exit::FAULT, format!("can't start the runtime: {why}")))?;
    Ok(runtime.block_on(what))
}

/// Who is at the keyboard; his environment's word for the name, the system's for the number.
fn operator() -> Operator {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.filter(|user| !user.is_empty() && user.len() <= 64 && !user.chars().any(char::is_control));
    Operator { uid: rustix::process::getuid().as_raw(), user }
}

/// The configuration, with operations switched on.
struct Desk {
    file: ConfigFile,
    config: Config,
}

/// What was found out about a wish before anything is sent.
struct Planned {
    plan: Plan,
    /// The payment as the daemon prints it.
    payment: Value,
    is_checked: bool,
}

impl Desk {
    fn new(common: &Common) -> Result<Desk, Failure> {
        let file = ConfigFile { config: common.config.clone() };
        let config = config::load(&file.config, &Flags::default(), &Surroundings::of_this_process())?;
        if !config.operations.enabled {
            let what = format!(
                "operations that move money are switched off: set `enabled = true` under [operations] in {}",
                config.file.display()
            );
            return Err(Failure::new(exit::NO, what));
        }
        Ok(Desk { file, config })
    }

    fn operate(&self, wished: &Wished<'_>) -> Result<u8, Failure> {
        let wish = wish(wished)?;
        let payee = payee(wished)?;
        let planned = self.plan(&wish, wished.common.dry_run)?;
        let plan = &planned.plan;
        let (account, login) = self.login(&plan.merchant)?;
        let request_id = request_id(wished.common)?;
        let made_number = match wished.number {
            Some(number) => Some(number.to_owned()),
            None if !needs_number(plan) => None,
            None if wished.common.dry_run => {
                note("not in a dry run: a fresh number by generateOrderNumber, which makes a repeat harmless");
                None
            }
            None => Some(self.fresh_number(account, &login)?),
        };
        let gateway = &self.config.gateways[&plan.merchant];
        let parts = Parts {
            account,
            base_url: gateway.base_url.as_str(),
            login: &login,
            request_id: request_id.as_str(),
            made_number: made_number.as_deref(),
            basket: &wish.basket,
            payee: payee.as_ref(),
        };
        let outgoing = request::build(plan, wished, &parts)?;
        if wished.common.dry_run {
            show_dry(wished.common, &planned, &outgoing);
            return Ok(exit::OK);
        }
        if !confirmed(wished.common, &planned, &outgoing)? {
            return Err(Failure::new(exit::NO, "not sent"));
        }
        let operation = self.journal(wish, plan, &request_id, made_number)?;
        let sent = waited(send::send(gateway, &outgoing))?;
        Ok(self.tell(wished.common, plan, operation, &request_id, sent))
    }

    /// Asks the daemon; a dry run without one reads the file, and without knowledge of the order goes by its arguments.
    fn plan(&self, wish: &Wish, is_dry: bool) -> Result<Planned, Failure> {
        let asked = Asked { wish: wish.clone(), expected: None, request_id: None, made_number: None, by: None };
        let refusal = match source::daemon(&self.file, "POST", "/v1/operations", body(&asked)?)? {
            Some(answer) if answer.status == 200 => {
                let plan = serde_json::from_value(answer.body["plan"].clone())
                    .map_err(|why| Failure::new(exit::FAULT, format!("the daemon's plan can't be read: {why}")))?;
                return Ok(Planned { plan, payment: answer.body["payment"].clone(), is_checked: true });
            }
            Some(answer) if answer.status == 409 => refusal_of(&answer.body),
            Some(answer) => return Err(answer.ok().err().unwrap_or_else(|| usage("the daemon refused"))),
            None if !is_dry => {
                let how = format!("start it: reconciled serve --config {}", self.file.config.display());
                let what = format!("the daemon does not run, and only it can check and journal an operation ({how})");
                return Err(Failure::new(exit::UNAVAILABLE, what));
            }
            None if !self.config.store.path.exists() => {
                Refusal { error: "there is no store yet".to_owned(), field: Some("id".to_owned()), hint: None }
            }
            None => {
                let over = &self.config.operations.over_capture_percent;
                let planned = source::with_file(&self.file, |engine, view, now| {
                    let plan = match engine.plan_operation(view, wish, over, now)? {
                        Ok(plan) => plan,
                        Err(refusal) => return Ok(Err(refusal)),
                    };
                    let payment = match plan.payment {
                        Some(number) => {
                            let payment = crate::engine::books::payment_at(view, number)?;
                            engine.payment_json(view, &payment, now)?
                        }
                        None => Value::Null,
                    };
                    Ok(Ok(Planned { plan, payment, is_checked: true }))
                })?;
                match planned {
                    Ok(planned) => return Ok(planned),
                    Err(refusal) => refusal,
                }
            }
        };
        // The rules say no, or there is nothing to apply them to: only the second may be shown without being checked.
        let is_unknown = refusal.field.as_deref() == Some("id");
        if !is_dry || !is_unknown {
            return Err(refused(&refusal));
        }
        let accounts: Vec<&Account> = self.config.policy.accounts.values().collect();
        let plan = unchecked::plan(&accounts, wish).map_err(|refusal| refused(&refusal))?;
        note(&format!(
            "not checked against any chain ({}): a real one is, by the daemon, before it is sent",
            refusal.error
        ));
        Ok(Planned { plan, payment: Value::Null, is_checked: false })
    }

    fn login(&self, merchant: &MerchantName) -> Result<(&Account, Login), Failure> {
        let account = self.config.policy.accounts.get(merchant);
        let account = account.ok_or_else(|| Failure::new(exit::CONFIG, format!("`{merchant}` is not configured")))?;
        let can_ask = self.config.gateways.get(merchant).is_some_and(|gateway| gateway.password.is_some());
        if !can_ask {
            let what = format!(
                "the daemon can't ask the gateway of `{merchant}`, so an outcome could not be looked up: \
                 give [merchants.{merchant}] a password_file"
            );
            return Err(Failure::new(exit::CONFIG, what));
        }
        let around = Surroundings::of_this_process();
        Ok((account, login(&self.file.config, &around, &self.config, merchant)?))
    }

    /// Asks the gateway for a number for what the operation makes. Moves nothing; an unused number stays valid.
    fn fresh_number(&self, account: &Account, login: &Login) -> Result<String, Failure> {
        let Contract::Checkout(contract) = &account.contract else { return Err(usage("a checkout account is needed")) };
        let gateway = &self.config.gateways[&account.name];
        let credentials = request::credentials(contract, login)?;
        let outgoing = request::outgoing(gateway.base_url.as_str(), backend::generate_order_number(&credentials));
        let unavailable =
            |why: String| Failure::new(exit::UNAVAILABLE, format!("not sent: the gateway gave no number: {why}"));
        match waited(send::send(gateway, &outgoing))? {
            Sent::Answered { http_status, body } => backend::read_order_number(http_status, body.as_bytes())
                .map(|number| number.to_string())
                .map_err(|why| unavailable(why.to_string())),
            Sent::NoAnswer { why } | Sent::Stayed { why } => Err(unavailable(why)),
        }
    }

    /// Once this returns, the operation is durable, and may be sent.
    fn journal(
        &self,
        wish: Wish,
        plan: &Plan,
        request_id: &RequestId,
        made_number: Option<String>,
    ) -> Result<u64, Failure> {
        let asked = Asked {
            wish,
            expected: Some(plan.clone()),
            request_id: Some(request_id.clone()),
            made_number,
            by: Some(operator()),
        };
        let answer = source::daemon_only(&self.file, "POST", "/v1/operations", body(&asked)?)?;
        if answer.status == 409 {
            return Err(refused(&refusal_of(&answer.body)));
        }
        let said = answer.ok()?;
        said["operation"].as_u64().ok_or_else(|| Failure::new(exit::FAULT, "the daemon gave no operation number"))
    }

    /// Tells the daemon what came of it, and the person. The request is out: nothing here may fail it.
    fn tell(&self, common: &Common, plan: &Plan, operation: u64, request_id: &RequestId, sent: Sent) -> u8 {
        let (told, own) = match sent {
            Sent::Answered { http_status, body } => {
                let own = match plan.target {
                    Target::Wpg { .. } => wire::wpg::outcome(http_status, body.as_bytes()),
                    Target::Checkout { .. } => wire::checkout::outcome(http_status, body.as_bytes()).0,
                };
                (AnswerTold::Answered { http_status, body }, own)
            }
            Sent::NoAnswer { why } => (AnswerTold::NoAnswer { no_answer: why.clone() }, Outcome::Unknown { why }),
            Sent::Stayed { why } => (AnswerTold::NotSent { not_sent: why.clone() }, Outcome::NotSent { why }),
        };
        let path = format!("/v1/operations/{operation}/answer");
        let kept = body(&told).and_then(|body| source::daemon_only(&self.file, "POST", &path, body)?.ok());
        if let Err(failure) = &kept {
            note(&format!("the daemon could not be told ({}): it will look it up by itself", failure.message));
        }
        let id = request_id.as_str();
        if common.json {
            print::json(&json!({
                "operation": operation,
                "request_id": id,
                "outcome": own.name(),
                "why": own.text(),
                "is_journaled": kept.is_ok(),
            }));
        } else {
            print::line(&format!("{}: {}", own.name(), print::safe(own.text())));
            print::line(&format!(
                "operation {operation}, request {id}; `reconciled explain {id}` tells what came of it"
            ));
        }
        match own {
            Outcome::Executed { .. } => exit::OK,
            Outcome::Refused { .. } | Outcome::NotSeen { .. } => exit::NO,
            Outcome::NotSent { .. } => exit::UNAVAILABLE,
            Outcome::Unknown { .. } => {
                note("nobody knows yet whether it took effect: do not repeat it, the daemon looks it up");
                exit::UNKNOWN
            }
        }
    }
}

fn refusal_of(body: &Value) -> Refusal {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Refusal { error: text("error").unwrap_or_default(), field: text("field"), hint: text("hint") }
}

fn body(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|why| Failure::new(exit::FAULT, format!("can't be written as JSON: {why}")))
}

/// A line for the person beside what goes to stdout.
fn note(text: &str) {
    eprintln!("{}", print::safe(text));
}

/// Whether the operation makes an order or credit that a pre-generated number keeps from being made twice.
fn needs_number(plan: &Plan) -> bool {
    matches!((&plan.target, plan.kind), (Target::Checkout { .. }, Kind::Recur | Kind::Transfer))
}

// ---- from the command line ----

fn wish(wished: &Wished<'_>) -> Result<Wish, Failure> {
    let merchant = wished.common.merchant.as_deref().map(MerchantName::new).transpose();
    let merchant = merchant.map_err(|why| usage(format!("--merchant {why}")))?;
    let currency = match wished.money.and_then(|money| money.currency.as_deref()) {
        Some(text) => Some(Currency::parse(text).ok_or_else(|| usage("--currency is no ISO 4217 currency"))?),
        None => None,
    };
    let transaction = wished.chain.and_then(|chain| chain.transaction.as_deref()).map(TransactionId::new).transpose();
    let transaction = transaction.map_err(|why| usage(format!("--transaction {why}")))?;
    let is_payout = wished.kind == Kind::Transfer && wished.fund != Some(Fund::ExistingOrder);
    if wished.id.is_none() && transaction.is_none() && !is_payout {
        return Err(usage("name the order: an order number, request-id or transaction-id"));
    }
    Ok(Wish {
        kind: wished.kind,
        id: wished.id.map(str::to_owned),
        merchant,
        amount: wished.money.and_then(|money| money.amount.clone()),
        currency,
        transaction,
        transaction_type: wished.chain.and_then(|chain| chain.transaction_type.clone()),
        object: wished.object.map(str::to_owned),
        fund: wished.fund,
        basket: basket(wished)?,
        without_basket: wished.goods.is_some_and(|goods| goods.without_basket),
        although_unknown: wished.common.although_unknown,
    })
}

fn basket(wished: &Wished<'_>) -> Result<Vec<BasketLine>, Failure> {
    let Some(name) = wished.goods.and_then(|goods| goods.basket.as_deref()) else { return Ok(Vec::new()) };
    let lines: Vec<BasketLine> = serde_json::from_slice(&ask::input(name)?)
        .map_err(|why| Failure::new(exit::DATA, format!("{name} is no basket: {why}")))?;
    if lines.is_empty() || lines.len() > BASKET_MAX_LINES {
        let what = format!("{name}: a basket has 1 to {BASKET_MAX_LINES} lines, not {}", lines.len());
        return Err(Failure::new(exit::DATA, what));
    }
    Ok(lines)
}

fn payee(wished: &Wished<'_>) -> Result<Option<PayeeFile>, Failure> {
    let Some(name) = wished.to.and_then(|to| to.payee.as_deref()) else { return Ok(None) };
    // The text of a JSON error could quote the file.
    serde_json::from_slice(&ask::input(name)?).map(Some).map_err(|why| {
        Failure::new(exit::DATA, format!("{name} is no payee (line {}, column {})", why.line(), why.column()))
    })
}

fn request_id(common: &Common) -> Result<RequestId, Failure> {
    let text = match &common.request_id {
        Some(text) if text.len() > REQUEST_ID_MAX_BYTES => {
            return Err(usage(format!("--request-id is longer than {REQUEST_ID_MAX_BYTES} bytes")));
        }
        Some(text) if crate::core::identity::strip_suffix(text).is_some() => {
            return Err(usage("--request-id ends in a suffix that the gateway adds itself"));
        }
        Some(text) => text.clone(),
        None => {
            let mut bytes = [0u8; 16];
            let random = SystemRandom::new().fill(&mut bytes);
            random.map_err(|_| Failure::new(exit::FAULT, "the system gives no random bytes"))?;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("op-{hex}")
        }
    };
    RequestId::new(&text).map_err(|why| usage(format!("--request-id {why}")))
}

// ---- showing and asking ----

fn show_dry(common: &Common, planned: &Planned, outgoing: &Outgoing) {
    if planned.is_checked {
        planned.plan.checked.iter().for_each(|rule| note(&format!("checked: {rule}")));
    }
    note_meaning(&planned.plan);
    if common.json {
        let headers: Vec<Value> = outgoing
            .headers(common.show_secrets)
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        print::json(&json!({
            "method": "POST",
            "url": outgoing.url,
            "headers": headers,
            "body": outgoing.shown_body(common.show_secrets),
            "plan": planned.plan,
            "is_checked": planned.is_checked,
        }));
    } else {
        print::line(&outgoing.text(common.show_secrets));
    }
}

/// Says what the amount means where its sign decides that.
fn note_meaning(plan: &Plan) {
    if let Some(means) = &plan.means {
        note(&format!("mind: {means}"));
    }
}

/// Shows what will be sent and how the order stands, and asks.
fn confirmed(common: &Common, planned: &Planned, outgoing: &Outgoing) -> Result<bool, Failure> {
    if common.yes {
        note_meaning(&planned.plan);
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage("there is no terminal to ask at: --yes sends without asking, --dry-run sends nothing"));
    }
    let payment = &planned.payment;
    let field = |name: &str| print::plain(&payment[name]);
    if !payment.is_null() {
        note(&format!(
            "order {}, request {}: {} ({})",
            field("order_number"),
            field("request_id"),
            field("state"),
            field("reason")
        ));
        for transaction in payment["transactions"].as_array().into_iter().flatten() {
            let field = |name: &str| print::plain(&transaction[name]);
            note(&format!(
                "  {} {}: {} {} {}",
                field("transaction_type"),
                field("transaction_id"),
                field("transaction_state"),
                field("amount"),
                field("currency")
            ));
        }
    }
    planned.plan.checked.iter().for_each(|rule| note(&format!("checked: {rule}")));
    eprintln!("\n{}\n", outgoing.text(false).lines().map(print::safe).collect::<Vec<_>>().join("\n"));
    note_meaning(&planned.plan);
    let amount = planned.plan.amount.map(|amount| format!(" of {amount}")).unwrap_or_default();
    eprint!("send this {}{amount} by {}? [y/N] ", planned.plan.wire, planned.plan.merchant);
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|why| usage(format!("no answer can be read: {why}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

// ---- the verbs without a plan ----

fn list_banks(banks: &Banks) -> Result<u8, Failure> {
    let desk = Desk::new(&banks.common)?;
    let is_asked = |account: &&Account| {
        matches!(account.contract, Contract::Checkout(_))
            && banks.common.merchant.as_deref().is_none_or(|name| account.name.as_str() == name)
    };
    let mut accounts = desk.config.policy.accounts.values().filter(is_asked);
    let account = accounts.next().filter(|_| accounts.next().is_none());
    let account = account.ok_or_else(|| usage("say which checkout account with --merchant"))?;
    let Contract::Checkout(contract) = &account.contract else { return Err(usage("a checkout account is needed")) };
    let (_, login) = desk.login(&account.name)?;
    let gateway = &desk.config.gateways[&account.name];
    let wanted = (banks.payment_type.as_str(), banks.transaction_type.as_deref(), banks.bank_country.as_deref());
    let outgoing = request::banks(contract, &login, gateway.base_url.as_str(), wanted)?;
    if banks.common.dry_run {
        print::line(&outgoing.text(banks.common.show_secrets));
        return Ok(exit::OK);
    }
    match waited(send::send(gateway, &outgoing))? {
        Sent::Answered { http_status, body } => {
            let listed = wire::checkout::financial_institutions(http_status, body.as_bytes())
                .map_err(|why| Failure::new(exit::NO, format!("refused: {why}")))?;
            if banks.common.json {
                let items: Vec<Value> = listed.iter().map(|bank| json!({"id": bank.id, "name": bank.name})).collect();
                print::json(&json!({"items": items, "next": null}));
            } else {
                listed.iter().for_each(|bank| print::line(&print::safe(&format!("{}  {}", bank.id, bank.name))));
            }
            Ok(exit::OK)
        }
        Sent::NoAnswer { why } | Sent::Stayed { why } => Err(Failure::new(exit::UNAVAILABLE, why)),
    }
}

fn resolved(resolve: &Resolve) -> Result<u8, Failure> {
    let file = ConfigFile { config: resolve.config.clone() };
    let stated = Stated { executed: resolve.executed, why: resolve.because.clone(), by: operator() };
    let path = format!("/v1/operations/{}/answer", resolve.operation);
    let said = source::daemon_only(&file, "POST", &path, body(&AnswerTold::Stated { stated })?)?.ok()?;
    print::line(&format!("{}: {}", print::plain(&said["outcome"]), print::plain(&said["why"])));
    Ok(exit::OK)
}
