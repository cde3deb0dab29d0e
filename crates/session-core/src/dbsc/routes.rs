//! What the two routes answer: one binds a session to the browser's device, the other lets the
//! browser prove it again.
//!
//! What a status means to Chromium decides which one is sent. A device's session ends with 400, 401,
//! 403 without a challenge, 404 and `{"continue":false}`; it survives a 503. So whatever may pass is
//! a 503.

use hmac::Hmac;
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

use super::{
    DeviceChange, DeviceKey, Proof, ProofRefused,
    binding::DeviceBinding,
    device::{Device, ProofValue},
    headers,
    policy::{TOLERANCE, age},
};
use crate::{
    content::Content,
    error::{Error, Result},
    expiry::Millis,
    header::{millis_of, short_time},
    id::SessionId,
    machine::{Machine, Saved},
    op::Op,
    rules::Rules,
    session::Session,
    signer,
};

/// How long a challenge counts. Whoever had the device in their hands for a moment could have let it
/// sign the challenge of that moment; that is of use for an hour at most.
const CHALLENGE_LIFE: Duration = Duration::from_secs(3600);

/// How long a browser may take to register.
const OFFER_LIFE: Duration = Duration::from_secs(300);

/// How long a browser takes to register, with a device that is slow.
const REGISTERING: Duration = Duration::from_secs(10);

const OFFER: &[u8] = b"session-core offer to bind a device, version 1";

/// What a route of the device binding answers. It carries `Cache-Control: no-store`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct DeviceAnswer {
    /// The status. A 503 carries `Retry-After`.
    pub status: u16,
    /// The value of a `Secure-Session-Challenge` header.
    pub challenge: Option<String>,
    /// The value of a `Set-Cookie` header, beside that of the session.
    pub set_cookie: Option<String>,
    /// The body, which is JSON.
    pub body: Option<String>,
}

impl DeviceAnswer {
    fn status(status: u16) -> Self {
        Self {
            status,
            challenge: None,
            set_cookie: None,
            body: None,
        }
    }

    /// What may pass. The browser keeps its key and comes again.
    #[cfg(feature = "adapter")]
    pub(crate) fn unavailable() -> Self {
        Self::status(503)
    }

    /// The headers of the response.
    #[cfg(any(feature = "actix-web", feature = "http"))]
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let retry = (self.status == 503).then_some("1");
        let json = self.body.as_ref().map(|_| "application/json");
        [
            ("cache-control", Some("no-store")),
            ("retry-after", retry),
            ("secure-session-challenge", self.challenge.as_deref()),
            ("set-cookie", self.set_cookie.as_deref()),
            ("content-type", json),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The device's session ends in the browser.
    fn ended() -> Self {
        Self {
            body: Some(json!({ "continue": false }).to_string()),
            ..Self::status(200)
        }
    }
}

/// Where a request stands, as far as its device is concerned.
enum Standing {
    /// It is a session of a user.
    Session {
        content: Content,
        id: Option<SessionId>,
    },
    /// There is none, or none of a user.
    Nobody,
    /// It cannot be told: the store failed, or another request has just renewed the session.
    Unknown,
}

impl Session {
    /// Answers a request to the [path of registration](DeviceBinding::registration_path): binds the
    /// session to the device whose key signed `proof`, the value of the `Secure-Session-Response`
    /// header.
    ///
    /// It is bound only once. A login without proof of the device frees it for another one.
    ///
    /// # Errors
    ///
    /// If the store fails, or the application binds no devices.
    pub async fn register_device(&self, proof: Option<&[u8]>) -> Result<DeviceAnswer> {
        let binding = self.device_binding()?;
        let (content, id) = match self.standing()? {
            Standing::Session { content, id } => (content, id),
            Standing::Nobody => return Ok(DeviceAnswer::status(403)),
            Standing::Unknown => return Ok(DeviceAnswer::status(503)),
        };
        let (Some(proof), Some(id)) = (proof, id) else {
            return Ok(DeviceAnswer::status(400));
        };
        let now = self.now();
        let key = match registering_key(proof, &id, &content) {
            Ok((key, made)) if age(made, now) <= OFFER_LIFE => key,
            // The offer is too old.
            Ok(_) => return Ok(DeviceAnswer::status(403)),
            Err(refused) => return Ok(self.refuse_proof(refused)),
        };
        if content.device.is_some() {
            return Ok(DeviceAnswer::status(403));
        }
        let proof = random();
        let device = Device {
            key,
            proof,
            since: now,
            before: proof,
            bound_at: now,
            is_cookie: true,
        };
        let bind = DeviceChange::Bind {
            owner: content.owner.clone(),
            authenticated_at: content.authenticated_at,
            device: device.clone(),
        };
        match self.save_change(bind).await {
            Ok(Saved::Ended) | Err(Error::Conflict) => Ok(DeviceAnswer::status(403)),
            Ok(_) => {
                crate::security_events::device_bound(content.lineage);
                Ok(proved(binding, &device, &content))
            }
            Err(error) => Err(error),
        }
    }

    /// Answers a request to the [path of refreshes](DeviceBinding::refresh_path). `name` is the value
    /// of its `Sec-Secure-Session-Id` header, which only the browser itself can send, and `proof` of
    /// its `Secure-Session-Response`.
    ///
    /// # Errors
    ///
    /// If the store fails, or the application binds no devices. The answer to any error has to be a
    /// 503: with another one the browser gives up the binding.
    pub async fn refresh_device(
        &self,
        name: Option<&[u8]>,
        proof: Option<&[u8]>,
    ) -> Result<DeviceAnswer> {
        let binding = self.device_binding()?;
        let Some(name) = name.filter(|it| it.len() <= 64).and_then(headers::text) else {
            return Ok(DeviceAnswer::status(400));
        };
        let proof = proof.map(Proof::read).transpose();
        // Of many requests at once one is first; each of the others gets the next challenge.
        loop {
            let content = match self.standing()? {
                Standing::Session { content, .. } => content,
                Standing::Nobody => return Ok(DeviceAnswer::ended()),
                Standing::Unknown => return Ok(DeviceAnswer::status(503)),
            };
            let device = content.device.as_deref().map(Device::of);
            let Some(device) = device.filter(|it| name_of(it, &content) == name) else {
                return Ok(DeviceAnswer::ended());
            };
            let verified = match &proof {
                Err(refused) => return Ok(self.refuse_proof(*refused)),
                Ok(Some(proof)) => match proof.verify(&device.key) {
                    Ok(()) => proof.challenge() == headers::base64url(&device.challenge()),
                    Err(refused) => return Ok(self.refuse_proof(refused)),
                },
                Ok(None) => false,
            };
            let now = self.now();
            // While the bound cookie counts, its challenge does: a fresh one would end it.
            let life = CHALLENGE_LIFE.max(binding.life + TOLERANCE);
            let age = age(device.since, now);
            let is_stale = age > life;
            let next = random();
            let change = match (verified, is_stale) {
                (false, false) => {
                    let challenge = Some(challenge_of(&device, &content));
                    return Ok(DeviceAnswer {
                        challenge,
                        ..DeviceAnswer::status(403)
                    });
                }
                (true, false) => DeviceChange::Prove {
                    key: device.key,
                    used: device.proof,
                    still_counts: age <= binding.life + TOLERANCE,
                    next,
                    now,
                },
                (_, true) => DeviceChange::Challenge {
                    stale: device.proof,
                    next,
                    now,
                },
            };
            match self.save_change(change).await {
                Ok(Saved::Ended) => return Ok(DeviceAnswer::ended()),
                Ok(_) if verified && !is_stale => {
                    let device = Device {
                        proof: next,
                        ..device
                    };
                    return Ok(proved(binding, &device, &content));
                }
                // The answer has the challenge that is stored by now.
                Ok(_) => {}
                Err(Error::Conflict) => self.reload().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Offers the browser to bind the session, with the answer to this request. A login does it by
    /// itself; this is for sessions that were logged in before. Without effect if nobody is logged
    /// in, or the session is bound.
    ///
    /// Whoever has the session's cookie can accept the offer. So offer it only where the user has just
    /// proved who they are.
    pub fn offer_device_binding(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.offer_device();
        }
    }

    pub(super) fn device(&self) -> Option<Device> {
        self.read(|content| content.device.as_deref().map(Device::of))
            .flatten()
    }

    pub(crate) fn binds_devices(&self) -> bool {
        self.rules().settings.device_binding.is_some()
    }

    fn device_binding(&self) -> Result<&DeviceBinding> {
        let binding = self.rules().settings.device_binding.as_ref();
        binding.ok_or(Error::NoDeviceBinding)
    }

    fn standing(&self) -> Result<Standing> {
        let machine = self.machine()?;
        if machine.is_not_loaded() || machine.is_late() {
            return Ok(Standing::Unknown);
        }
        Ok(match machine.live() {
            Some(live) if live.content.owner.is_some() => Standing::Session {
                content: live.content.clone(),
                id: live.id.clone(),
            },
            _ => Standing::Nobody,
        })
    }

    async fn save_change(&self, change: DeviceChange) -> Result<Saved> {
        self.change(Op::Device(Box::new(change)))?;
        self.save().await
    }

    fn refuse_proof(&self, refused: ProofRefused) -> DeviceAnswer {
        let lineage = self.lineage().map(crate::Lineage::to_bytes);
        let events = &self.rules().events;
        events.device_proof_refused(lineage, refused.reason());
        DeviceAnswer::status(401)
    }
}

/// What a response has for the device of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceHeaders {
    /// The value of a `Secure-Session-Registration` header: after a login, the browser may bind the
    /// session to its device.
    pub registration: Option<String>,
    /// The value of a further `Set-Cookie` header: it removes the bound cookie with a log-out.
    pub set_cookie: Option<String>,
}

impl DeviceHeaders {
    pub(crate) fn of(machine: &Machine, rules: &Rules, now: Millis) -> Option<Box<Self>> {
        let binding = rules.settings.device_binding.as_ref()?;
        let made = if machine.offers_device() {
            Some(now)
        } else {
            offered_again(machine, now)
        };
        let removes = machine.has_logged_out() && !machine.presented_proofs().is_empty();
        if made.is_none() && !removes {
            return None;
        }
        Some(Box::new(Self {
            registration: made.and_then(|made| registration_offer(binding, machine, made)),
            set_cookie: removes.then(|| binding.removal()),
        }))
    }
}

/// When the offer was made that the answer repeats, if it does. The browser did not accept that of
/// the login: the login began on another site, such as that of an identity provider, so that no
/// cookie that is `Lax` came with the registration. Or the registration failed. So a page of this
/// application offers it again, for as long as the first offer counts.
fn offered_again(machine: &Machine, now: Millis) -> Option<Millis> {
    if !machine.fetch_metadata.is_page_from_here() {
        return None;
    }
    let login = machine.live()?.content.authenticated_at?;
    (REGISTERING..=OFFER_LIFE)
        .contains(&now.since(login))
        .then_some(login)
}

/// The value of `Secure-Session-Registration` for the session of `machine`, if it can be bound.
fn registration_offer(binding: &DeviceBinding, machine: &Machine, now: Millis) -> Option<String> {
    let live = machine.live()?;
    let bindable = live.content.owner.is_some() && live.content.device.is_none();
    let id = live.id.as_ref().filter(|_| bindable)?;
    let challenge = headers::base64url(&offer(id, &live.content, now));
    Some(headers::registration(&binding.registration, &challenge))
}

/// The challenge of an offer: when it was made, and a code by the session's id, which nobody else
/// knows. So it is for this session and this login, needs no place in the record, and is the same
/// for each process.
fn offer(id: &SessionId, content: &Content, now: Millis) -> [u8; 22] {
    let time = short_time(now.get());
    let login = content.authenticated_at.unwrap_or_default().get();
    let message = [
        OFFER,
        &content.lineage.unwrap_or_default(),
        &login.to_be_bytes(),
        &time,
    ]
    .concat();
    let code = signer::mac::<Hmac<Sha256>>(id.as_str().as_bytes(), &message);
    let mut offer = [0; 22];
    offer[..6].copy_from_slice(&time);
    offer[6..].copy_from_slice(&code[..16]);
    offer
}

/// The key in a proof of registration, and when the offer was made that it answers.
fn registering_key(
    proof: &[u8],
    id: &SessionId,
    content: &Content,
) -> Result<(DeviceKey, Millis), ProofRefused> {
    let proof = Proof::read(proof)?;
    let key = *proof.key().ok_or(ProofRefused::Key)?;
    let made = headers::base64url_of::<22>(proof.challenge()).ok_or(ProofRefused::Challenge)?;
    let mut time = [0; 6];
    time.copy_from_slice(&made[..6]);
    let time = Millis::new(millis_of(time));
    if made != offer(id, content, time) {
        return Err(ProofRefused::Challenge);
    }
    proof.verify(&key)?;
    Ok((key, time))
}

/// It begins with a letter, because Chromium sends it as a token.
fn name_of(device: &Device, content: &Content) -> String {
    let name = device.name(content.lineage.unwrap_or_default());
    format!("d{}", headers::base64url(&name))
}

fn challenge_of(device: &Device, content: &Content) -> String {
    let challenge = headers::base64url(&device.challenge());
    headers::challenge(&challenge, &name_of(device, content))
}

/// The answer to a proof: the bound cookie, and the challenge of the next refresh.
fn proved(binding: &DeviceBinding, device: &Device, content: &Content) -> DeviceAnswer {
    let body = json!({
        "session_identifier": name_of(device, content),
        "refresh_url": binding.refresh,
        "scope": { "include_site": false },
        "credentials": [{
            "type": "cookie",
            "name": binding.cookie.name,
            "attributes": binding.attributes(),
        }],
    });
    DeviceAnswer {
        challenge: Some(challenge_of(device, content)),
        set_cookie: Some(binding.set_cookie(&headers::base64url(&device.proof))),
        body: Some(body.to_string()),
        ..DeviceAnswer::status(200)
    }
}

fn random() -> ProofValue {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
