//! Tokens to a tree, by the strength with which operators bind.
//!
//! What is refused here is refused with the reference's code and position. The
//! depth of the tree is bounded, so that whoever walks it may recurse.

use super::Dialect;
use super::ast::{Ast, AstKind, MAX_NESTING, Operator, SortTerm};
use super::error::{Error, Limit};
use super::lexer::{Lexer, Token, TokenKind};
use super::signature::Signature;
use super::value::Text;

/// The longest text that is parsed, in bytes.
const MAX_TEXT: usize = 4 << 20;

/// Parses a whole text.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Ast, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::limit(Limit::Nesting));
    }
    let mut lexer = Lexer::new(text, dialect);
    let token = lexer.next(false)?;
    let mut parser = Parser { lexer, token, nesting: 0 };
    let ast = parser.expression(0)?;
    if parser.token.kind != TokenKind::End {
        let token = parser.token.kind.text();
        return Err(Error::new("S0201").at(parser.token.position).with_token(token));
    }
    Ok(ast)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that comes next.
    token: Token,
    nesting: u16,
}

impl Parser<'_> {
    fn is(&self, operator: &str) -> bool {
        matches!(self.token.kind, TokenKind::Operator(text) if text == operator)
    }

    /// Takes the next token, whatever it is.
    fn advance(&mut self, infix: bool) -> Result<Token, Error> {
        let next = self.lexer.next(infix)?;
        if let TokenKind::Operator(text @ ("!" | "~")) = next.kind {
            return Err(Error::new("S0204").at(next.position).with_token(text));
        }
        Ok(std::mem::replace(&mut self.token, next))
    }

    /// Takes this token, or says that it was expected.
    fn expect(&mut self, operator: &str, infix: bool) -> Result<(), Error> {
        if self.is(operator) {
            self.advance(infix)?;
            return Ok(());
        }
        let code = if self.token.kind == TokenKind::End { "S0203" } else { "S0202" };
        Err(Error::new(code).at(self.token.position).with_token(self.token.kind.text()).with_text_value(operator))
    }

    fn node(&self, kind: AstKind, position: u32) -> Result<Ast, Error> {
        Ast::new(kind, position).ok_or_else(|| Error::limit(Limit::Nesting).at(self.token.position))
    }

    /// An expression whose operators bind more strongly than `power`.
    fn expression(&mut self, power: u8) -> Result<Ast, Error> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Error::limit(Limit::Nesting).at(self.token.position));
        }
        let token = self.advance(true)?;
        let mut left = self.prefix(token)?;
        while power < self.power() {
            let token = self.advance(false)?;
            let TokenKind::Operator(operator) = token.kind else { break };
            left = self.infix(operator, token.position, left)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// How strongly the next token binds to what stands before it.
    fn power(&self) -> u8 {
        let TokenKind::Operator(text) = self.token.kind else { return 0 };
        match text {
            "[" | "(" | "@" | "#" => 80,
            "{" => 70,
            "^" => 40,
            "?" => 20,
            ":=" => 10,
            _ => Operator::of(text).map_or(0, Operator::power),
        }
    }

    /// What a token is where an operand is expected.
    fn prefix(&mut self, token: Token) -> Result<Ast, Error> {
        let position = token.position;
        let kind = match token.kind {
            TokenKind::Null => AstKind::Null,
            TokenKind::Boolean(boolean) => AstKind::Boolean(boolean),
            TokenKind::Number(number) => AstKind::Number(number),
            TokenKind::String(text) => AstKind::String(text),
            TokenKind::Regex(regex) => AstKind::Regex(super::ast::RegexLiteral(regex)),
            TokenKind::Name(name) => AstKind::Name(name),
            TokenKind::Variable(name) => AstKind::Variable(name),
            TokenKind::End => AstKind::End,
            TokenKind::Operator(operator) => match operator {
                "and" | "or" | "in" => AstKind::Name(operator.into()),
                "*" => AstKind::Wildcard,
                "**" => AstKind::Descendant,
                "%" => AstKind::Parent,
                "-" => AstKind::Negate(Box::new(self.expression(70)?)),
                "(" => self.block()?,
                "[" => self.array()?,
                "{" => AstKind::Object(self.pairs()?),
                "|" => self.transform()?,
                _ => return Err(Error::new("S0211").at(position).with_token(operator)),
            },
        };
        self.node(kind, position)
    }

    /// What an operator makes of what stands before it.
    fn infix(&mut self, operator: &'static str, position: u32, left: Ast) -> Result<Ast, Error> {
        let kind = match operator {
            "(" => return self.call(position, left),
            "[" => {
                if self.is("]") {
                    let mut left = left;
                    base_of_filters(&mut left).keep_array = true;
                    self.advance(false)?;
                    return Ok(left);
                }
                let predicate = self.expression(0)?;
                self.expect("]", true)?;
                AstKind::Filter(Box::new(left), Box::new(predicate))
            }
            "{" => AstKind::Group(Box::new(left), self.pairs()?),
            "^" => self.sort(left)?,
            "@" => AstKind::Focus(Box::new(left), self.variable("@")?),
            "#" => AstKind::Index(Box::new(left), self.variable("#")?),
            ":=" => {
                let AstKind::Variable(name) = left.kind else {
                    return Err(Error::new("S0212").at(left.position).with_token(token_of(&left)));
                };
                AstKind::Bind(name, Box::new(self.expression(9)?))
            }
            "?" => {
                let then = self.expression(0)?;
                let mut otherwise = None;
                if self.is(":") {
                    self.advance(false)?;
                    otherwise = Some(Box::new(self.expression(0)?));
                }
                AstKind::Condition(Box::new(left), Box::new(then), otherwise)
            }
            _ => {
                let Some(operator) = Operator::of(operator) else {
                    return Err(Error::new("S0201").at(position).with_token(operator));
                };
                let power = match operator {
                    Operator::Coalesce | Operator::Default => 0,
                    _ => operator.power(),
                };
                let right = self.expression(power)?;
                AstKind::Binary(operator, Box::new(left), Box::new(right))
            }
        };
        self.node(kind, position)
    }

    fn variable(&mut self, operator: &str) -> Result<Text, Error> {
        let right = self.expression(80)?;
        match right.kind {
            AstKind::Variable(name) => Ok(name),
            _ => Err(Error::new("S0214").at(right.position).with_token(operator)),
        }
    }

    fn block(&mut self) -> Result<AstKind, Error> {
        let mut expressions = Vec::new();
        while !self.is(")") {
            expressions.push(self.expression(0)?);
            if !self.is(";") {
                break;
            }
            self.advance(false)?;
        }
        self.expect(")", true)?;
        Ok(AstKind::Block(expressions))
    }

    fn array(&mut self) -> Result<AstKind, Error> {
        let mut items = Vec::new();
        if !self.is("]") {
            loop {
                let mut item = self.expression(0)?;
                if self.is("..") {
                    let position = self.token.position;
                    self.advance(false)?;
                    let end = self.expression(0)?;
                    item = self.node(AstKind::Binary(Operator::Range, Box::new(item), Box::new(end)), position)?;
                }
                items.push(item);
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect("]", true)?;
        Ok(AstKind::Array(items))
    }

    fn pairs(&mut self) -> Result<Vec<(Ast, Ast)>, Error> {
        let mut pairs = Vec::new();
        if !self.is("}") {
            loop {
                let key = self.expression(0)?;
                self.expect(":", false)?;
                let value = self.expression(0)?;
                pairs.push((key, value));
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect("}", true)?;
        Ok(pairs)
    }

    fn transform(&mut self) -> Result<AstKind, Error> {
        let pattern = Box::new(self.expression(0)?);
        self.expect("|", false)?;
        let update = Box::new(self.expression(0)?);
        let mut delete = None;
        if self.is(",") {
            self.advance(false)?;
            delete = Some(Box::new(self.expression(0)?));
        }
        self.expect("|", false)?;
        Ok(AstKind::Transform(pattern, update, delete))
    }

    fn sort(&mut self, left: Ast) -> Result<AstKind, Error> {
        self.expect("(", false)?;
        let mut terms = Vec::new();
        loop {
            let descending = self.is(">");
            if descending || self.is("<") {
                self.advance(false)?;
            }
            terms.push(SortTerm { descending, expression: self.expression(0)? });
            if !self.is(",") {
                break;
            }
            self.advance(false)?;
        }
        self.expect(")", false)?;
        Ok(AstKind::Sort(Box::new(left), terms))
    }

    fn call(&mut self, position: u32, left: Ast) -> Result<Ast, Error> {
        let mut arguments = Vec::new();
        let mut partial = false;
        if !self.is(")") {
            loop {
                if self.is("?") {
                    partial = true;
                    arguments.push(self.node(AstKind::Placeholder, self.token.position)?);
                    self.advance(false)?;
                } else {
                    arguments.push(self.expression(0)?);
                }
                if !self.is(",") {
                    break;
                }
                self.advance(false)?;
            }
        }
        self.expect(")", true)?;
        if matches!(&left.kind, AstKind::Name(name) if matches!(&**name, "function" | "λ")) {
            return self.lambda(position, arguments);
        }
        let left = Box::new(left);
        self.node(if partial { AstKind::Partial(left, arguments) } else { AstKind::Call(left, arguments) }, position)
    }

    fn lambda(&mut self, position: u32, arguments: Vec<Ast>) -> Result<Ast, Error> {
        let mut parameters = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "no text has that many parameters")]
            let number = (index + 1) as f64;
            match argument.kind {
                AstKind::Variable(name) => parameters.push(name),
                _ => {
                    let error = Error::new("S0208").at(argument.position).with_token(token_of(&argument));
                    return Err(error.with_value(&number.into()));
                }
            }
        }
        let signature = if self.is("<") { Some(self.signature()?) } else { None };
        self.expect("{", false)?;
        let body = self.expression(0)?;
        self.expect("}", false)?;
        self.node(AstKind::Lambda(parameters, signature, Box::new(body)), position)
    }

    fn signature(&mut self) -> Result<Text, Error> {
        let start = self.token.position;
        let mut text = "<".to_owned();
        let mut depth = 1_u32;
        while depth > 0 && !self.is("{") && self.token.kind != TokenKind::End {
            self.advance(false)?;
            match &self.token.kind {
                TokenKind::Operator(">") => depth -= 1,
                TokenKind::Operator("<") => depth += 1,
                TokenKind::Operator("-" | "?" | "+" | ":" | "?:" | "(" | ")" | "{") | TokenKind::End => {}
                TokenKind::Name(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {}
                _ => return self.expect(">", false).map(|()| text.into()),
            }
            text.push_str(&self.token.kind.text());
        }
        self.expect(">", false)?;
        match Signature::parse(&text) {
            Ok(_) => Ok(text.into()),
            Err(error) => {
                let offset = error.position().unwrap_or(0);
                Err(error.at(start.saturating_add(offset)))
            }
        }
    }
}

/// The step that a `[]` behind filters belongs to.
fn base_of_filters(ast: &mut Ast) -> &mut Ast {
    if !matches!(ast.kind, AstKind::Filter(..)) {
        return ast;
    }
    match &mut ast.kind {
        AstKind::Filter(left, _) => base_of_filters(left),
        _ => unreachable!("just seen to be a filter"),
    }
}

/// What a message calls a node that stands where a variable should.
fn token_of(ast: &Ast) -> String {
    match &ast.kind {
        AstKind::Name(text) | AstKind::Variable(text) | AstKind::String(text) => text.to_string(),
        AstKind::Number(number) => super::number::to_text(*number),
        AstKind::Null => "null".to_owned(),
        AstKind::Boolean(boolean) => boolean.to_string(),
        AstKind::Binary(operator, ..) => operator.text().to_owned(),
        AstKind::Filter(..) | AstKind::Array(_) => "[".to_owned(),
        AstKind::Object(_) | AstKind::Group(..) => "{".to_owned(),
        AstKind::End => "(end)".to_owned(),
        _ => "(".to_owned(),
    }
}
